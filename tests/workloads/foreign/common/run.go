// Package common runs the work of a program in goroutines, while runtime/pprof profiles it.
package common

import (
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"time"
)

// Workers is the number of goroutines that work.
const Workers = 2

// Run calls work repeatedly in several goroutines, each with its worker number, for `-seconds`. It writes the CPU profile of
// runtime/pprof, and prints the largest id that a goroutine can have had.
func Run(work func(worker int)) {
	seconds := flag.Int("seconds", 10, "how long to work")
	profile := flag.String("cpuprofile", "", "file for the profile of runtime/pprof")
	flag.Parse()
	if *profile != "" {
		file, err := os.Create(*profile)
		Check(err)
		Check(pprof.StartCPUProfile(file))
		defer func() {
			pprof.StopCPUProfile()
			Check(file.Close())
		}()
	}
	until := time.Now().Add(time.Duration(*seconds) * time.Second)
	var wait sync.WaitGroup
	for worker := range Workers {
		wait.Add(1)
		go repeat(work, worker, until, &wait)
	}
	wait.Wait()
	largest := make(chan uint64)
	go func() { largest <- goroutineID() }()
	// Each P reserves 16 goroutine ids at once (src/runtime/proc.go).
	fmt.Println(<-largest + 16*uint64(runtime.GOMAXPROCS(0)))
}

func repeat(work func(worker int), worker int, until time.Time, wait *sync.WaitGroup) {
	defer wait.Done()
	for time.Now().Before(until) {
		work(worker)
	}
}

func goroutineID() (id uint64) {
	text := make([]byte, 64)
	text = text[:runtime.Stack(text, false)]
	_, err := fmt.Fscanf(strings.NewReader(string(text)), "goroutine %d", &id)
	Check(err)
	return id
}

// Check ends the program after an error.
func Check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
