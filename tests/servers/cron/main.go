// Reads schedules with robfig/cron, which is what a Kubernetes CronJob does: the reference our schedules are
// compared with.
//
// The first line in is a JSON object of zones, each with its TZif data, so that both sides know the same
// clocks. Then one JSON case per line in, one JSON result per line out.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/robfig/cron/v3"
)

type request struct {
	Schedule string `json:"schedule"`
	Zone     string `json:"zone"`
	// Seconds since 1970.
	Start int64 `json:"start"`
	Count int   `json:"count"`
}

type result struct {
	Error string `json:"error,omitempty"`
	// Seconds since 1970; fewer than asked for where it never fires again.
	Ticks []int64 `json:"ticks"`
	// Minutes, hours, days of the month, months and days of the week; the highest bit says "any".
	Fields []uint64 `json:"fields,omitempty"`
}

func answer(request request, zones map[string]*time.Location) (answer result) {
	defer func() {
		if cause := recover(); cause != nil {
			answer = result{Error: fmt.Sprintf("panic: %v", cause)}
		}
	}()
	schedule, err := cron.ParseStandard(request.Schedule)
	if err != nil {
		return result{Error: err.Error()}
	}
	zone, known := zones[request.Zone]
	if !known {
		return result{Error: "there is no zone " + request.Zone}
	}
	if fields, ok := schedule.(*cron.SpecSchedule); ok {
		fields.Location = zone
		answer.Fields = []uint64{fields.Minute, fields.Hour, fields.Dom, fields.Month, fields.Dow}
	}
	tick := time.Unix(request.Start, 0).In(zone)
	for range request.Count {
		tick = schedule.Next(tick)
		if tick.IsZero() {
			break
		}
		answer.Ticks = append(answer.Ticks, tick.Unix())
	}
	return answer
}

func run() error {
	input := json.NewDecoder(bufio.NewReader(os.Stdin))
	var data map[string][]byte
	if err := input.Decode(&data); err != nil {
		return err
	}
	zones := map[string]*time.Location{}
	for name, data := range data {
		zone, err := time.LoadLocationFromTZData(name, data)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		zones[name] = zone
	}
	output := bufio.NewWriter(os.Stdout)
	defer output.Flush()
	encoder := json.NewEncoder(output)
	for input.More() {
		var request request
		if err := input.Decode(&request); err != nil {
			return err
		}
		if err := encoder.Encode(answer(request, zones)); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
