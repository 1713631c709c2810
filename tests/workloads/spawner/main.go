// Spawner starts a small tree of processes, all of which run this program. It starts a child, which starts a grandchild.
// Both end before their parents. It also starts an orphan in a new session (setsid). The orphan runs for `-linger` longer
// than the others and keeps their stdout and stderr open, as some daemons do by mistake.
//
// Each member prints its role and process id, then uses some CPU time in a function named after its role:
//
//	parent 100
//	child 101
//	grandchild 102
//	orphan 103
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

func main() {
	role := flag.String("role", "parent", "member of the family; the program sets it for those that it starts")
	busy := flag.Duration("busy", 300*time.Millisecond, "how long each member computes")
	linger := flag.Duration("linger", 5*time.Second, "how long the orphan goes on sleeping")
	flag.Parse()

	fmt.Println(*role, os.Getpid())
	if err := play(*role, *busy, *linger); err != nil {
		fmt.Fprintf(os.Stderr, "spawner: %s: %v\n", *role, err)
		os.Exit(1)
	}
}

// play does the work of a role and waits for the processes that it started, except for the orphan.
func play(role string, busy, linger time.Duration) error {
	switch role {
	case "parent":
		if _, err := start("orphan", busy, linger, &syscall.SysProcAttr{Setsid: true}); err != nil {
			return err
		}
		child, err := start("child", busy, linger, nil)
		if err != nil {
			return err
		}
		parentWork(busy)
		return child.Wait()
	case "child":
		grandchild, err := start("grandchild", busy, linger, nil)
		if err != nil {
			return err
		}
		childWork(busy)
		return grandchild.Wait()
	case "grandchild":
		grandchildWork(busy)
		return nil
	case "orphan":
		orphanWork(busy)
		time.Sleep(linger)
		return nil
	default:
		return fmt.Errorf("no such role")
	}
}

func start(role string, busy, linger time.Duration, attr *syscall.SysProcAttr) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-role", role, "-busy", busy.String(), "-linger", linger.String())
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = os.Stdout, os.Stderr, attr
	return cmd, cmd.Start()
}

//go:noinline
func parentWork(d time.Duration) { compute(d) }

//go:noinline
func childWork(d time.Duration) { compute(d) }

//go:noinline
func grandchildWork(d time.Duration) { compute(d) }

//go:noinline
func orphanWork(d time.Duration) { compute(d) }

var sink uint64

//go:noinline
func compute(d time.Duration) {
	x := uint64(1)
	for until := time.Now().Add(d); time.Now().Before(until); {
		for i := 0; i < 100_000; i++ {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
	}
	sink = x
}
