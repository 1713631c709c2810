// Hotspots spends its CPU time in five functions of unequal cost, and measures the cost of each, so that a
// profile can be compared with the truth.
//
// Everything runs on one goroutine locked to one thread. The program reads the thread's CPU clock between the
// functions. Each call takes a millisecond or more, so the cost of reading the clock is negligible. A share is
// the function's cumulative CPU time divided by the CPU time of the whole process. The rounds allocate no
// memory, so the garbage collector does not run.
//
// A table goes to stderr; one line of JSON goes to stdout:
//
//	{"functions":[{"name":"main.multiply","seconds":1.2,"share":0.4},...],"rounds":75,"cpu_seconds":3.0}
//
// The work per round is fixed. A release build spends about 40, 25, 20, 10 and 5 % in the five functions. A
// debug build (-N -l) has other shares, because it slows down each function by a different factor.
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
	name string // the name in the symbol table
	run  func()
	nsec int64 // CPU time spent in it so far
}

// function is a hotspot in the JSON output.
type function struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Share   float64 `json:"share"`
}

// truth holds the measured shares, with which a profile must agree.
type truth struct {
	Functions  []function `json:"functions"`
	Rounds     int        `json:"rounds"`
	CPUSeconds float64    `json:"cpu_seconds"`
}

func main() {
	seconds := flag.Float64("seconds", 3, "CPU seconds to spend")
	flag.Parse()

	runtime.LockOSThread()
	// The clock includes CPU time from before the exec of this program, for example of a launcher.
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

// spend runs rounds until this thread has used the budget of CPU time. It returns the number of rounds.
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
