// Goroutines that are hard to find in samples: in assembly that uses the goroutine register or the frame pointer for other
// values, and while their stacks grow. Prints the ids of the goroutines that compute.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"time"
)

//go:noescape
func spin(p *[512]uint64, n int)

//go:noescape
func walk(table *uint64, length, rounds int) uint64

//go:noescape
func circle(n int)

//go:noescape
func pair(n int)

// id returns the number of the running goroutine.
func id() string {
	var text [64]byte
	fields := bytes.Fields(text[:runtime.Stack(text[:], false)])
	return string(fields[1])
}

var wait sync.WaitGroup

func spinner(p *[512]uint64, n int) {
	defer wait.Done()
	fmt.Println(id())
	spin(p, n)
}

// walker reads a table of ascending code addresses in assembly. Read as goroutine descriptors, the table has valid stacks,
// small ids, and entries in code.
func walker(rounds int) {
	defer wait.Done()
	fmt.Println(id())
	code := uint64(reflect.ValueOf(walker).Pointer())
	table := make([]uint64, 600)
	for at := range table {
		table[at] = code + uint64(at)
	}
	walk(&table[0], len(table)-64, rounds)
}

//go:noinline
func descend(depth int) int {
	var pad [1000]int
	pad[depth] = depth
	if depth == 0 {
		return pad[0]
	}
	return descend(depth-1) + pad[depth]
}

// brief starts short goroutines that grow their stacks from the smallest size.
func brief(until time.Time) {
	for time.Now().Before(until) {
		done := make(chan int)
		go newcomer(done, 90)
		<-done
	}
	wait.Done()
}

func newcomer(done chan<- int, depth int) {
	done <- descend(depth)
}

type climber struct{ top [3000]int }

func (c climber) climb(height int) int {
	c.top[height] = height
	if height == 0 {
		return c.top[0]
	}
	return c.climb(height-1) + c.top[height]
}

func (c *climber) start(height int, group *sync.WaitGroup) {
	c.top[1] += c.climb(height)
	group.Done()
}

// crowd starts groups of 6 goroutines that grow their stacks.
func crowd(until time.Time) {
	for time.Now().Before(until) {
		var group sync.WaitGroup
		for i := 0; i < 6; i++ {
			group.Add(1)
			go (&climber{}).start(20+i, &group)
		}
		group.Wait()
	}
	wait.Done()
}

type counter struct{ sum int }

//go:noinline
func burn(sum *int, n int) {
	for i := 0; i < n; i++ {
		*sum += i * i % 7
	}
}

func (c *counter) serve(n int) { burn(&c.sum, n); wait.Done() }

type server interface{ serve(n int) }

//go:noinline
func plain(sum *int, n int) { burn(sum, n); wait.Done() }

// small is small enough to be inlined.
func small(sum *int, n int) { plain(sum, n) }

func main() {
	mode := flag.String("mode", "", "what to run")
	n := flag.Int("n", 1_000_000_000, "how long")
	flag.Parse()
	until := time.Now().Add(time.Duration(*n))
	var sums [4]int
	switch *mode {
	case "spin":
		var p [512]uint64
		for at := range p {
			p[at] = 424242
		}
		wait.Add(2)
		go spinner(&p, *n)
		go spinner(&p, *n)
	case "walk":
		wait.Add(2)
		go walker(*n / 500)
		go func() { walker(*n / 500) }()
	case "circle":
		circle(*n)
	case "pair":
		pair(*n)
	case "brief":
		wait.Add(1)
		go brief(until)
	case "crowd":
		wait.Add(1)
		go crowd(until)
	case "entries":
		wait.Add(4)
		go plain(&sums[0], *n)
		go (&counter{}).serve(*n)
		var any server = &counter{}
		go any.serve(*n)
		go small(&sums[3], *n)
	default:
		panic(strconv.Quote(*mode))
	}
	wait.Wait()
}
