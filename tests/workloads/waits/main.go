// Waits has three threads that wait in the kernel, in a sleep, a read and a lock, and a thread that computes. It prints the
// nanoseconds of each kind of wait.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// processors is the number of Ps: so many that no goroutine waits for a P.
const processors = 16

// busy is longer than two periods of the sampled clock, so each wait follows a sample of its thread.
const busy = 3 * time.Millisecond

var sink uint64

//go:noinline
func compute(length time.Duration) {
	x := uint64(1)
	for start := time.Now(); time.Since(start) < length; {
		for i := 0; i < 1000; i++ {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
	}
	sink += x
}

// timed returns the duration of a wait.
func timed(wait func()) time.Duration {
	start := time.Now()
	wait()
	return time.Since(start)
}

//go:noinline
func sleep() time.Duration {
	compute(busy)
	request := syscall.NsecToTimespec((20 * time.Millisecond).Nanoseconds())
	return timed(func() { syscall.Nanosleep(&request, nil) })
}

//go:noinline
func read(pipe int) time.Duration {
	compute(busy)
	var one [1]byte
	return timed(func() { syscall.Read(pipe, one[:]) })
}

//go:noinline
func lock(file *os.File) time.Duration {
	compute(busy)
	defer syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
	return timed(func() { syscall.Flock(int(file.Fd()), syscall.LOCK_EX) })
}

func opened(name string) *os.File {
	file, err := os.Open(name)
	if err != nil {
		panic(err)
	}
	return file
}

// init keeps the first thread for main: if a goroutine on it ended, the thread would wait for ever.
func init() {
	runtime.LockOSThread()
}

func main() {
	runtime.GOMAXPROCS(processors)
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		panic(err)
	}
	var done sync.WaitGroup
	var slept, reading, locking time.Duration
	onThread := func(work func()) {
		done.Add(1)
		go func() {
			defer done.Done()
			runtime.LockOSThread()
			work()
		}()
	}
	onThread(func() {
		for i := 0; i < 60; i++ {
			slept += sleep()
		}
	})
	onThread(func() {
		for i := 0; i < 60; i++ {
			reading += read(pipe[0])
		}
	})
	// These goroutines wait without a thread.
	go func() {
		for i := 0; i < 60; i++ {
			time.Sleep(busy + 10*time.Millisecond)
			syscall.Write(pipe[1], []byte{0})
		}
	}()
	held := make(chan bool)
	lockFile, err := os.CreateTemp("", "waits-")
	if err != nil {
		panic(err)
	}
	defer os.Remove(lockFile.Name())
	go func() {
		file := opened(lockFile.Name())
		for i := 0; i < 30; i++ {
			syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
			held <- true
			time.Sleep(busy + 10*time.Millisecond)
			syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
			held <- true
		}
	}()
	onThread(func() {
		file := opened(lockFile.Name())
		for i := 0; i < 30; i++ {
			<-held
			locking += lock(file)
			<-held
		}
	})
	onThread(func() { compute(500 * time.Millisecond) })
	done.Wait()
	fmt.Println(slept.Nanoseconds(), reading.Nanoseconds(), locking.Nanoseconds())
}
