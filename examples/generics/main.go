// Generics calls functions with all kinds of names and stack shapes that the Go compiler generates: instantiated
// functions (main.Fold[...]), methods of generic types (main.(*Heap[...]).Push), closures (main.counter.func1),
// method values (main.(*tally).add-fm), calls through interfaces, deferred calls, go statements with arguments
// (main.main.gowrap1 since Go 1.22) and recursion.
//
// The kernel records at most 127 frames of a stack, unless kernel.perf_event_max_stack is higher. The default
// depth is lower than that. With `-depth 400` the sampled stacks lose their roots.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// task is a function to call, with a description.
type task struct {
	name string
	run  func(seed uint64) uint64
}

func main() {
	depth := flag.Int("depth", 60, "frames of recursion")
	duration := flag.Duration("duration", 3*time.Second, "how long to compute")
	flag.Parse()
	if *depth < 1 {
		fmt.Fprintln(os.Stderr, "generics: -depth must be at least 1")
		os.Exit(2)
	}

	tasks := []task{
		{"folds over two element types", folds},
		{"a heap of a generic type", heapSort},
		{"closures that keep state", closures},
		{"a method value", methodValue},
		{"shapes behind an interface", interfaces},
		{"deferred calls", deferred},
		{fmt.Sprintf("recursion %d frames deep", *depth), func(seed uint64) uint64 { return descend(*depth, seed) }},
	}
	until := time.Now().Add(*duration)
	results := make(chan uint64)
	go round(tasks, 1, until, results)
	go round(tasks, 2, until, results)
	sum := <-results + <-results

	for _, s := range tasks {
		fmt.Println(s.name)
	}
	fmt.Printf("sum %016x\n", sum)
}

// round calls all tasks in turn until the given time, and sends a checksum of their results.
func round(tasks []task, seed uint64, until time.Time, results chan<- uint64) {
	sum := seed
	for time.Now().Before(until) {
		for _, s := range tasks {
			sum = mix(sum) + s.run(sum|1)
		}
	}
	results <- sum
}
