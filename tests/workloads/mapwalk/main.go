// Mapwalk iterates over a map for a second, and writes a CPU profile to the file that its argument names.
package main

import (
	"fmt"
	"os"
	"runtime/pprof"
	"time"
)

func main() {
	file, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		panic(err)
	}
	numbers := map[int]int{}
	for i := 0; i < 10_000; i++ {
		numbers[i] = i
	}
	sum := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		for key, value := range numbers {
			sum += key ^ value
		}
	}
	pprof.StopCPUProfile()
	fmt.Println(sum)
}
