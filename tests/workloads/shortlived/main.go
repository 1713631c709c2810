// Shortlived computes in N threads or processes that are shorter than the time between two samples: in threads
// (`shortlived threads N`), in processes that each start a child (`shortlived processes N`), or in processes that nobody
// waits for (`shortlived unwaited N`).
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
)

//go:noinline
func work(rounds int) (hash uint32) {
	for i := 0; i < rounds; i++ {
		hash = (hash ^ uint32(i)) * 16777619
	}
	return hash
}

func main() {
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	switch os.Args[1] {
	case "threads":
		done := make(chan uint32)
		for i := 0; i < count; i++ {
			go func() {
				runtime.LockOSThread() // without unlock, so the thread ends with the goroutine
				done <- work(300_000)
			}()
			<-done
		}
	case "processes":
		for i := 0; i < count; i++ {
			start("parent")
		}
	case "unwaited":
		signal.Ignore(syscall.SIGCHLD) // the kernel then adds the children's CPU time to no process
		for i := 0; i < count; i++ {
			exec.Command("/proc/self/exe", "child", "1").Run()
		}
	case "parent":
		start("child")
		work(100_000)
	case "child":
		work(100_000)
	}
	fmt.Println(os.Args[1], count)
}

func start(role string) {
	if err := exec.Command("/proc/self/exe", role, "1").Run(); err != nil {
		panic(err)
	}
}
