// Hotspots spends its CPU time in five functions of known, unequal cost and measures that cost itself,
// so that a profile of it can be held against the truth.
//
// Everything runs on one goroutine locked to one thread. The thread's CPU clock is read between the
// functions, each of which runs for a millisecond or more per call, so the reading itself costs next to
// nothing. A share counts everything beneath the function (what profilers call cumulative), as a part of the CPU
// time of the whole process. Nothing is allocated once the rounds begin, so the garbage collector stays out.
//
// A table goes to stderr; one line of JSON goes to stdout:
//
//	{"functions":[{"name":"main.multiply","seconds":1.2,"share":0.4},...],"rounds":75,"cpu_seconds":3.0}
//
// The work per round is fixed. A release build spends about 40, 25, 20, 10 and 5 % on it; a debug build
// (-N -l) spends other shares, because it slows each function down by a different factor.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
)

// hotspot is one measured function.
type hotspot struct {
	name string // as symbol tables have it
	run  func()
	nsec int64 // CPU time spent in it so far
}

// function is a hotspot as it is reported.
type function struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Share   float64 `json:"share"`
}

// truth is what a profile has to agree with.
type truth struct {
	Functions  []function `json:"functions"`
	Rounds     int        `json:"rounds"`
	CPUSeconds float64    `json:"cpu_seconds"`
}

func main() {
	seconds := flag.Float64("seconds", 3, "CPU seconds to spend")
	flag.Parse()

	runtime.LockOSThread()
	// The clock already holds what the process used before it became this program (a launcher's share, say).
	start := cpuTime(processClock)
	prepare()
	spots := []hotspot{
		{name: "main.multiply", run: multiply},
		{name: "main.digest", run: digest},
		{name: "main.sortNumbers", run: sortNumbers},
		{name: "main.countWords", run: countWords},
		{name: "main.collatz", run: collatz},
	}
	rounds := spend(spots, int64(*seconds*1e9))
	result := sum(spots, rounds, cpuTime(processClock)-start)

	printTable(result)
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fmt.Fprintln(os.Stderr, "hotspots:", err)
		os.Exit(1)
	}
}

// spend runs rounds until this thread has used the budget, and returns how many it were.
func spend(spots []hotspot, budget int64) int {
	first := cpuTime(threadClock)
	last := first
	rounds := 0
	for last-first < budget {
		for i := range spots {
			spots[i].run()
			now := cpuTime(threadClock)
			spots[i].nsec += now - last
			last = now
		}
		rounds++
	}
	return rounds
}

func sum(spots []hotspot, rounds int, total int64) truth {
	result := truth{Rounds: rounds, CPUSeconds: float64(total) / 1e9}
	for _, s := range spots {
		result.Functions = append(result.Functions, function{
			Name:    s.name,
			Seconds: float64(s.nsec) / 1e9,
			Share:   float64(s.nsec) / float64(total),
		})
	}
	return result
}

func printTable(t truth) {
	fmt.Fprintf(os.Stderr, "%-18s %10s %8s\n", "function", "CPU s", "share")
	for _, f := range t.Functions {
		fmt.Fprintf(os.Stderr, "%-18s %10.3f %7.2f%%\n", f.Name, f.Seconds, f.Share*100)
	}
	fmt.Fprintf(os.Stderr, "%-18s %10.3f in %d rounds\n", "process", t.CPUSeconds, t.Rounds)
}
