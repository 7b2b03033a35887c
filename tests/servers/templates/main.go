// Renders templates with consul-template itself, from canned answers: the reference our engine is compared with.
//
//	reference --responses FILE --template FILE   prints the text
//	reference --responses FILE --batch           one JSON case per line in, one JSON result per line out
//	reference --responses FILE --bench           one JSON case per line in, nanoseconds of each phase out
package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	parser "text/template/parse"
	"time"
	_ "unsafe"

	dep "github.com/hashicorp/consul-template/dependency"
	"github.com/hashicorp/consul-template/template"
	"github.com/hashicorp/vault/api"
)

// now is consul-template's own clock; REFERENCE_NOW, in nanoseconds since 1970, stops it.
//
//go:linkname now github.com/hashicorp/consul-template/template.now
var now func() time.Time

type mount struct {
	Type    string            `json:"type"`
	Options map[string]string `json:"options"`
}

type world struct {
	Mounts    map[string]mount           `json:"mounts"`
	Responses map[string]json.RawMessage `json:"responses"`
}

type request struct {
	Template string   `json:"t"`
	Bytes    []byte   `json:"b64"`
	Left     string   `json:"left"`
	Right    string   `json:"right"`
	Strict   bool     `json:"strict"`
	Denied   []string `json:"denied"`
}

type result struct {
	Text  []byte `json:"text"`
	Error string `json:"error,omitempty"`
}

func trimmed(path string) string { return strings.Trim(path, "/") }

// versioned inserts what a KV v2 mount keeps its entries under.
func (w *world) versioned(path, under string) string {
	for name, m := range w.Mounts {
		rest, inside := strings.CutPrefix(path+"/", name)
		if !inside || m.Type != "kv" || m.Options["version"] != "2" {
			continue
		}
		first, _, _ := strings.Cut(rest, "/")
		if first == "data" || first == "metadata" || first == "subkeys" {
			return path
		}
		return trimmed(name + under + "/" + rest)
	}
	return path
}

func (w *world) find(method, path string) (json.RawMessage, bool) {
	for key, body := range w.Responses {
		m, p, _ := strings.Cut(key, " ")
		p, _, _ = strings.Cut(p, " ")
		if m == method && trimmed(p) == trimmed(path) {
			return body, true
		}
	}
	return nil, false
}

// written finds the answer to a write, whose parameters are known by their hash alone.
func (w *world) written(path, hash string) (json.RawMessage, bool) {
	for key, body := range w.Responses {
		parts := strings.SplitN(key, " ", 3)
		if parts[0] != "PUT" || trimmed(parts[1]) != path {
			continue
		}
		if len(parts) == 2 || fingerprint(parts[2]) == hash {
			return body, true
		}
	}
	return nil, false
}

func fingerprint(parameters string) string {
	var values map[string]any
	if json.Unmarshal([]byte(parameters), &values) != nil {
		return ""
	}
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	hash := sha1.New()
	for _, key := range keys {
		fmt.Fprintf(hash, "%s=%q", key, values[key])
	}
	return fmt.Sprintf("%.4x", hash.Sum(nil))
}

func secret(body json.RawMessage) (*dep.Secret, error) {
	theirs, err := api.ParseSecret(strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	ours := &dep.Secret{
		RequestID: theirs.RequestID, LeaseID: theirs.LeaseID, LeaseDuration: theirs.LeaseDuration,
		Renewable: theirs.Renewable, Data: theirs.Data, Warnings: theirs.Warnings,
	}
	if auth := theirs.Auth; auth != nil {
		ours.Auth = &dep.SecretAuth{
			ClientToken: auth.ClientToken, Accessor: auth.Accessor, Policies: auth.Policies,
			Metadata: auth.Metadata, LeaseDuration: auth.LeaseDuration, Renewable: auth.Renewable,
		}
	}
	return ours, nil
}

// recall answers one dependency, or says that nothing is known.
func (w *world) recall(d dep.Dependency) (any, error) {
	kind, rest, _ := strings.Cut(d.String(), "(")
	rest = strings.TrimSuffix(rest, ")")
	switch kind {
	case "vault.read":
		if body, ok := w.find("GET", w.versioned(rest, "data")); ok {
			return secret(body)
		}
	case "vault.write":
		path, hash, _ := strings.Cut(rest, " -> ")
		if body, ok := w.written(path, hash); ok {
			return secret(body)
		}
	case "vault.list":
		body, ok := w.find("LIST", w.versioned(rest, "metadata"))
		if !ok {
			return []string(nil), nil
		}
		answer, err := secret(body)
		if err != nil {
			return nil, err
		}
		var names []string
		keys, _ := answer.Data["keys"].([]any)
		for _, key := range keys {
			names = append(names, fmt.Sprint(key))
		}
		sort.Strings(names)
		return names, nil
	case "file":
		content, err := os.ReadFile(rest)
		return string(content), err
	}
	return nil, fmt.Errorf("missing: %s", d)
}

// brain knows every answer beforehand, because consul-template gives up on an error that a missing secret
// causes; it is made anew for every case, because templates can change the secrets in it.
func (w *world) brain() (*template.Brain, error) {
	brain := template.NewBrain()
	for key, body := range w.Responses {
		parts := strings.SplitN(key, " ", 3)
		method, path := parts[0], trimmed(parts[1])
		for _, path := range []string{path, w.short(path)} {
			var d dep.Dependency
			answer, err := secret(body)
			if err != nil {
				return nil, err
			}
			var value any = answer
			switch method {
			case "GET":
				d, err = dep.NewVaultReadQuery(path)
			case "LIST":
				if d, err = dep.NewVaultListQuery(path); err == nil {
					value, err = w.recall(d)
				}
			case "PUT":
				parameters := map[string]any{}
				if len(parts) > 2 {
					err = json.Unmarshal([]byte(parts[2]), &parameters)
				}
				if err == nil {
					d, err = dep.NewVaultWriteQuery(path, parameters)
				}
			}
			if err != nil {
				return nil, err
			}
			brain.Remember(d, value)
		}
	}
	return brain, nil
}

// short leaves out what a KV v2 mount keeps its entries under.
func (w *world) short(path string) string {
	for name, m := range w.Mounts {
		rest, inside := strings.CutPrefix(path, name)
		if inside && m.Type == "kv" && m.Options["version"] == "2" {
			rest = strings.TrimPrefix(strings.TrimPrefix(rest, "data/"), "metadata/")
			return name + rest
		}
	}
	return path
}

func newTemplate(r request) (*template.Template, error) {
	contents := r.Template
	if len(r.Bytes) > 0 {
		contents = string(r.Bytes)
	}
	return template.NewTemplate(&template.NewTemplateInput{
		Contents: contents, LeftDelim: r.Left, RightDelim: r.Right,
		ErrMissingKey: r.Strict, FunctionDenylist: r.Denied,
	})
}

func (w *world) render(r request) (text []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	t, err := newTemplate(r)
	if err != nil {
		return nil, err
	}
	brain, err := w.brain()
	if err != nil {
		return nil, err
	}
	for range 20 {
		out, err := t.Execute(&template.ExecuteInput{Brain: brain})
		if err != nil {
			return nil, err
		}
		if out.Missing.Len() == 0 {
			return out.Output, nil
		}
		for _, d := range out.Missing.List() {
			value, err := w.recall(d)
			if err != nil {
				return nil, err
			}
			brain.Remember(d, value)
		}
	}
	return nil, fmt.Errorf("passes do not end")
}

// times are nanoseconds: of parsing, of running what is parsed, and of both, as consul-template does them on every pass.
type times struct {
	Parse   int64 `json:"parse"`
	Execute int64 `json:"execute"`
	Both    int64 `json:"both"`
}

func each(duration time.Duration, run func()) int64 {
	count, start := 0, time.Now()
	for time.Since(start) < duration {
		run()
		count++
	}
	return time.Since(start).Nanoseconds() / int64(count)
}

// bench measures consul-template as it is, which parses and makes its functions anew in every run; parsing alone, with the
// same names; and running alone, as what each further round of the same text costs: of so many rounds that they make no
// more than four megabytes.
func (w *world) bench(r request, duration time.Duration) (all times, err error) {
	if all.Both, err = w.pass(r, duration); err != nil {
		return all, err
	}
	functions := names(r.Template)
	all.Parse = each(duration, func() {
		if _, err := parser.Parse("", r.Template, r.Left, r.Right, functions); err != nil {
			panic(err)
		}
	})
	text, err := w.render(r)
	if err != nil {
		return all, err
	}
	rounds := int64(min(50, max(1, (4<<20)/(len(text)+1))))
	r.Template = fmt.Sprintf("{{range %d}}%s{{end}}", rounds+1, r.Template)
	many, err := w.pass(r, duration)
	all.Execute = (many - all.Both) / rounds
	return all, err
}

// pass measures one evaluation of a text whose answers are all known.
func (w *world) pass(r request, duration time.Duration) (int64, error) {
	if _, err := w.render(r); err != nil {
		return 0, err
	}
	t, err := newTemplate(r)
	if err != nil {
		return 0, err
	}
	brain, err := w.brain()
	if err != nil {
		return 0, err
	}
	run := func() int {
		out, err := t.Execute(&template.ExecuteInput{Brain: brain})
		if err != nil {
			return 0
		}
		for _, d := range out.Missing.List() {
			if value, err := w.recall(d); err == nil {
				brain.Remember(d, value)
			}
		}
		return out.Missing.Len()
	}
	for run() > 0 {
	}
	return each(duration, func() { run() }), nil
}

// names finds the functions that a text needs to be parsed: one is asked for after the other.
func names(text string) map[string]any {
	functions := map[string]any{}
	for {
		_, err := parser.Parse("", text, "", "", functions)
		if err == nil {
			return functions
		}
		_, rest, found := strings.Cut(err.Error(), "function \"")
		name, _, _ := strings.Cut(rest, "\"")
		if !found {
			return functions
		}
		functions[name] = true
	}
}

func lines(each func(request) any) error {
	in := bufio.NewReader(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	// Some functions print; what they print is no result.
	os.Stdout = os.Stderr
	encoder := json.NewEncoder(out)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return out.Flush()
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		if err := encoder.Encode(each(r)); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}

func main() {
	responses := flag.String("responses", "", "file with the answers")
	file := flag.String("template", "", "file to render")
	batch := flag.Bool("batch", false, "render cases from standard input")
	bench := flag.Bool("bench", false, "measure cases from standard input")
	milliseconds := flag.Int("milliseconds", 1000, "how long a measurement takes")
	flag.Parse()

	if text := os.Getenv("REFERENCE_NOW"); text != "" {
		nanoseconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			fail(err)
		}
		now = func() time.Time { return time.Unix(0, nanoseconds).UTC() }
	}
	w := &world{}
	if *responses != "" {
		content, err := os.ReadFile(*responses)
		if err == nil {
			err = json.Unmarshal(content, w)
		}
		if err != nil {
			fail(err)
		}
	}
	var err error
	switch {
	case *batch:
		err = lines(func(r request) any {
			text, err := w.render(r)
			if err != nil {
				return result{Error: err.Error()}
			}
			return result{Text: text}
		})
	case *bench:
		err = lines(func(r request) any {
			times, err := w.bench(r, time.Duration(*milliseconds)*time.Millisecond)
			if err != nil {
				return result{Error: err.Error()}
			}
			return times
		})
	default:
		var content, text []byte
		if content, err = os.ReadFile(*file); err == nil {
			if text, err = w.render(request{Template: string(content)}); err == nil {
				_, err = os.Stdout.Write(text)
			}
		}
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
