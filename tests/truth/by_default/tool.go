package main

import (
	"fmt"
	"sort"
	"time"

	"example.com/lib/v2"
	"example.com/sibling"
)

type numbers []int

func (n numbers) Len() int           { return len(n) }
func (n numbers) Less(i, j int) bool { return n[i] < n[j] }
func (n numbers) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }

//go:noinline
func work(data []byte) (total uint64) {
	for i := 0; i < 100; i++ {
		total += sibling.Mix(data)
		total += lib.Hash(data)
	}
	sorted := make(numbers, 5000)
	for i := range sorted {
		sorted[i] = i * 7919 % 5003
	}
	sort.Sort(sorted)
	return total + uint64(sorted[0])
}

func main() {
	data := make([]byte, 1000)
	var total uint64
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); {
		total += work(data)
	}
	fmt.Println(total)
}
