// Lives through CronJobs with the controller of Kubernetes itself, on a clock of ours.
//
// Each line of standard input is one CronJob with what happens to it; each line of standard output says which runs the
// controller has started. The controller's code is used as it is: its clock, its queue and its client are ours, and its
// handlers are called as its informers would call them.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"time"
	_ "time/tzdata"
	"unsafe"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	core "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/cronjob"
)

const (
	namespace = "team"
	name      = "my-job"
	key       = namespace + "/" + name
)

//go:linkname processNextWorkItem k8s.io/kubernetes/pkg/controller/cronjob.(*ControllerV2).processNextWorkItem
func processNextWorkItem(controller *cronjob.ControllerV2, ctx context.Context) bool

//go:linkname enqueueController k8s.io/kubernetes/pkg/controller/cronjob.(*ControllerV2).enqueueController
func enqueueController(controller *cronjob.ControllerV2, object interface{})

//go:linkname updateCronJob k8s.io/kubernetes/pkg/controller/cronjob.(*ControllerV2).updateCronJob
func updateCronJob(controller *cronjob.ControllerV2, logger klog.Logger, before, after interface{})

//go:linkname addJob k8s.io/kubernetes/pkg/controller/cronjob.(*ControllerV2).addJob
func addJob(controller *cronjob.ControllerV2, object interface{})

//go:linkname updateJob k8s.io/kubernetes/pkg/controller/cronjob.(*ControllerV2).updateJob
func updateJob(controller *cronjob.ControllerV2, before, after interface{})

//go:linkname deleteJob k8s.io/kubernetes/pkg/controller/cronjob.(*ControllerV2).deleteJob
func deleteJob(controller *cronjob.ControllerV2, object interface{})

// life is one CronJob from its creation to the end of the comparison.
type life struct {
	Start time.Time           `json:"start"`
	End   time.Time           `json:"end"`
	Spec  batchv1.CronJobSpec `json:"spec"`
	Edits []edit              `json:"edits"`
	// How many seconds a run lasts, by the minute of its instant.
	Lasts []int64 `json:"lasts"`
	// In which second of a minute runs end.
	Second int64 `json:"second"`
}

type edit struct {
	At   time.Time           `json:"at"`
	Spec batchv1.CronJobSpec `json:"spec"`
}

// run is a Job that was made.
type run struct {
	Tick time.Time `json:"tick"`
	At   time.Time `json:"at"`
}

// queue holds the one key: when it is to be looked at.
type queue struct {
	workqueue.TypedRateLimitingInterface[string]
	now func() time.Time
	due *time.Time
}

func (q *queue) Add(string)            { q.AddAfter(key, 0) }
func (q *queue) AddRateLimited(string) { q.AddAfter(key, time.Second) }
func (q *queue) Get() (string, bool)   { q.due = nil; return key, false }
func (q *queue) Done(string)           {}
func (q *queue) Forget(string)         {}
func (q *queue) AddAfter(_ string, delay time.Duration) {
	due := q.now().Add(delay)
	if q.due == nil || due.Before(*q.due) {
		q.due = &due
	}
}

// world is a CronJob, its Jobs and the controller.
type world struct {
	now        time.Time
	lasts      []int64
	second     int64
	ends       map[types.UID]time.Time
	runs       []run
	version    int
	client     *fake.Clientset
	queue      *queue
	controller *cronjob.ControllerV2
	cronJobs   cache.Indexer
	jobs       cache.Indexer
}

// set gives an unexported field of the controller another value.
func set(controller *cronjob.ControllerV2, field string, value interface{}) {
	target := reflect.ValueOf(controller).Elem().FieldByName(field)
	target = reflect.NewAt(target.Type(), unsafe.Pointer(target.UnsafeAddr())).Elem()
	target.Set(reflect.ValueOf(value))
}

func newWorld(ctx context.Context, life life) (*world, error) {
	w := &world{now: life.Start, lasts: life.Lasts, second: life.Second, ends: map[types.UID]time.Time{}}
	w.client = fake.NewSimpleClientset()
	w.client.PrependReactor("create", "jobs", w.made)
	factory := informers.NewSharedInformerFactory(w.client, 0)
	jobs, cronJobs := factory.Batch().V1().Jobs(), factory.Batch().V1().CronJobs()
	controller, err := cronjob.NewControllerV2(ctx, jobs, cronJobs, w.client)
	if err != nil {
		return nil, err
	}
	clock := func() time.Time { return w.now }
	w.queue = &queue{now: clock}
	set(controller, "now", clock)
	set(controller, "queue", w.queue)
	w.controller = controller
	w.jobs, w.cronJobs = jobs.Informer().GetIndexer(), cronJobs.Informer().GetIndexer()
	object := &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: "of-the-cronjob",
			ResourceVersion: "1", CreationTimestamp: metav1.NewTime(life.Start),
		},
		Spec: life.Spec,
	}
	if _, err := w.client.BatchV1().CronJobs(namespace).Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	if err := w.cronJobs.Add(object); err != nil {
		return nil, err
	}
	enqueueController(controller, object)
	return w, nil
}

// made completes a Job that the controller makes.
func (w *world) made(action core.Action) (bool, runtime.Object, error) {
	job := action.(core.CreateAction).GetObject().(*batchv1.Job)
	tick, err := time.Parse(time.RFC3339, job.Annotations[batchv1.CronJobScheduledTimestampAnnotation])
	if err != nil {
		return true, nil, err
	}
	w.version++
	job.UID = types.UID(fmt.Sprintf("%s#%d", job.Name, w.version))
	job.ResourceVersion = fmt.Sprint(w.version)
	job.CreationTimestamp = metav1.NewTime(w.now)
	started := metav1.NewTime(w.now)
	job.Status.StartTime = &started
	minute := tick.Unix() / 60
	earliest := w.now.Unix() + w.lasts[minute%int64(len(w.lasts))]
	w.ends[job.UID] = time.Unix(((earliest-w.second)/60+1)*60+w.second, 0)
	w.runs = append(w.runs, run{Tick: tick.UTC(), At: w.now})
	return false, nil, nil
}

// look brings the caches up to date and tells the controller, as watches do.
func (w *world) look(ctx context.Context) error {
	cronJob, err := w.client.BatchV1().CronJobs(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	before, _, err := w.cronJobs.GetByKey(key)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(before, cronJob) {
		if err := w.cronJobs.Update(cronJob); err != nil {
			return err
		}
		updateCronJob(w.controller, klog.FromContext(ctx), before, cronJob)
	}
	jobs, err := w.client.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		there[job.Name] = true
		before, known, err := w.jobs.Get(job)
		if err != nil {
			return err
		}
		if err := w.jobs.Update(job); err != nil {
			return err
		}
		if !known {
			addJob(w.controller, job)
		} else if before.(*batchv1.Job).ResourceVersion != job.ResourceVersion {
			updateJob(w.controller, before, job)
		}
	}
	for _, object := range w.jobs.List() {
		job := object.(*batchv1.Job)
		if there[job.Name] {
			continue
		}
		delete(w.ends, job.UID)
		if err := w.jobs.Delete(job); err != nil {
			return err
		}
		deleteJob(w.controller, job)
	}
	return nil
}

// finish lets the Jobs succeed whose time has come.
func (w *world) finish(ctx context.Context) error {
	for _, object := range w.jobs.List() {
		job := object.(*batchv1.Job)
		end, runs := w.ends[job.UID]
		if !runs || end.After(w.now) {
			continue
		}
		delete(w.ends, job.UID)
		job = job.DeepCopy()
		w.version++
		job.ResourceVersion = fmt.Sprint(w.version)
		at := metav1.NewTime(w.now)
		job.Status.CompletionTime = &at
		job.Status.Conditions = []batchv1.JobCondition{{
			Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: at,
		}}
		if _, err := w.client.BatchV1().Jobs(namespace).Update(ctx, job, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return w.look(ctx)
}

func (w *world) edit(ctx context.Context, spec batchv1.CronJobSpec) error {
	cronJob, err := w.client.BatchV1().CronJobs(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	w.version++
	cronJob.ResourceVersion = fmt.Sprint(w.version)
	cronJob.Spec = spec
	if _, err := w.client.BatchV1().CronJobs(namespace).Update(ctx, cronJob, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return w.look(ctx)
}

// next says when something happens.
func (w *world) next(life life) time.Time {
	next := life.End
	consider := func(at time.Time) {
		if at.Before(next) {
			next = at
		}
	}
	if w.queue.due != nil {
		consider(*w.queue.due)
	}
	if len(life.Edits) > 0 {
		consider(life.Edits[0].At)
	}
	for _, end := range w.ends {
		consider(end)
	}
	if next.Before(w.now) {
		return w.now
	}
	return next
}

func live(ctx context.Context, life life) ([]run, error) {
	w, err := newWorld(ctx, life)
	if err != nil {
		return nil, err
	}
	for {
		w.now = w.next(life)
		if !w.now.Before(life.End) {
			return w.runs, nil
		}
		if len(life.Edits) > 0 && !life.Edits[0].At.After(w.now) {
			if err := w.edit(ctx, life.Edits[0].Spec); err != nil {
				return nil, err
			}
			life.Edits = life.Edits[1:]
		}
		if err := w.finish(ctx); err != nil {
			return nil, err
		}
		if w.queue.due != nil && !w.queue.due.After(w.now) {
			processNextWorkItem(w.controller, ctx)
			if err := w.look(ctx); err != nil {
				return nil, err
			}
		}
	}
}

func main() {
	klog.InitFlags(nil)
	if err := flag.Set("stderrthreshold", "FATAL"); err != nil {
		panic(err)
	}
	if err := flag.Set("logtostderr", "false"); err != nil {
		panic(err)
	}
	klog.SetLogger(klog.Logger{})
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<24)
	output := json.NewEncoder(os.Stdout)
	for input.Scan() {
		var life life
		if err := json.Unmarshal(input.Bytes(), &life); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		ctx, cancel := context.WithCancel(context.Background())
		runs, err := live(ctx, life)
		cancel()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := output.Encode(runs); err != nil {
			os.Exit(1)
		}
	}
}
