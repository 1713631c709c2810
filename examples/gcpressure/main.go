// Gcpressure mostly allocates memory: several goroutines build and drop trees, and each garbage collection also
// marks a live heap. Its profile shows the garbage collector: runtime.gcBgMarkWorker, runtime.mallocgc, and
// runtime.gcAssistAlloc in the goroutines that must assist.
//
// At the end it prints the collector's own figures, to compare with the profile.
package main

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

// node is a tree with a payload: small objects, many pointers.
type node struct {
	left, right *node
	payload     []byte
}

// plant builds a tree of the given depth.
func plant(depth int) *node {
	n := &node{payload: make([]byte, 24)}
	if depth > 0 {
		n.left, n.right = plant(depth-1), plant(depth-1)
	}
	return n
}

// count returns the number of nodes. It keeps the compiler from removing the construction of the tree.
func (n *node) count() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

// cache is the live heap: each tree stays until a newer tree replaces it.
type cache struct {
	mu    sync.Mutex
	trees map[int]*node
}

func (c *cache) replace(key int, tree *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trees[key] = tree
}

// churn builds trees until the given time. It stores every sixteenth tree in the cache and drops the other trees.
func churn(worker int, until time.Time, keep *cache) (nodes int) {
	for i := 0; time.Now().Before(until); i++ {
		tree := plant(10)
		nodes += tree.count()
		if i%16 == 0 {
			keep.replace(worker*64+i/16%64, tree)
		}
	}
	return nodes
}

func main() {
	duration := flag.Duration("duration", 3*time.Second, "how long to allocate")
	workers := flag.Int("workers", 4, "goroutines that allocate")
	flag.Parse()

	until := time.Now().Add(*duration)
	keep := &cache{trees: map[int]*node{}}
	nodes := make([]int, *workers)
	var group sync.WaitGroup
	for w := range nodes {
		group.Add(1)
		go func(w int) {
			defer group.Done()
			nodes[w] = churn(w, until, keep)
		}(w)
	}
	group.Wait()
	report(nodes, keep)
}

func report(nodes []int, keep *cache) {
	built, live := 0, 0
	for _, n := range nodes {
		built += n
	}
	for _, tree := range keep.trees {
		live += tree.count()
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	// The runtime updates its CPU classes only at the end of a collection.
	runtime.GC()
	cpu := []metrics.Sample{
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/gc/mark/idle:cpu-seconds"},
		{Name: "/cpu/classes/user:cpu-seconds"},
	}
	metrics.Read(cpu)
	fmt.Printf("%d nodes built, %d live\n", built, live)
	fmt.Printf("%d MiB allocated, %d collections, %.1f ms stopped\n",
		mem.TotalAlloc>>20, mem.NumGC, float64(mem.PauseTotalNs)/1e6)
	fmt.Printf("the runtime estimates %.2f CPU s in the collector (%.2f of it idle time), %.2f CPU s in Go code\n",
		cpu[0].Value.Float64(), cpu[1].Value.Float64(), cpu[2].Value.Float64())
}
