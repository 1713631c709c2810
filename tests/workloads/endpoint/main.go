// Endpoint serves the profiles of net/http/pprof. It prints "ready PID HOST:PORT" and the name of each requested profile. It
// runs until a signal ends it: two functions use known shares of CPU time, memory is kept, and goroutines wait for a mutex
// and for channels.
package main

import (
	"flag"
	"fmt"
	"math/rand"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"path"
	"runtime"
	"sync"
	"time"
)

var (
	kept [][]byte
	sink uint64
	lock sync.Mutex
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address to serve on")
	token := flag.String("token", "", "the bearer token that requests must have")
	leak := flag.Int("leak", 0, "goroutines that wait for a channel that nobody has any more")
	rates := flag.Bool("rates", false, "set the rates of the mutex and block profiles")
	busy := flag.Duration("busy", time.Millisecond, "CPU time of a round; there are about 100 in a second")
	duration := flag.Duration("duration", time.Hour, "when to end")
	flag.Parse()
	if *rates {
		runtime.SetMutexProfileFraction(1)
		runtime.SetBlockProfileRate(1)
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "endpoint:", err)
		os.Exit(1)
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if *token != "" && r.Header.Get("Authorization") != "Bearer "+*token {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		fmt.Println("asked for", path.Base(r.URL.Path))
		http.DefaultServeMux.ServeHTTP(w, r)
	}))
	for i := 0; i < 64; i++ {
		keep()
	}
	for i := 0; i < *leak; i++ {
		start()
	}
	go contend()
	go contend()
	// The heap profile shows the memory that the last finished collection has found.
	runtime.GC()
	fmt.Println("ready", os.Getpid(), listener.Addr())

	for end := time.Now().Add(*duration); time.Now().Before(end); time.Sleep(9 * time.Millisecond) {
		// The length is random: rounds of equal length could run in step with the timer of a profile.
		round := time.Duration(float64(*busy) * (0.5 + rand.Float64()))
		sink += often(3 * round / 4)
		sink += seldom(round / 4)
	}
}

// keep allocates more than the sampling rate of the heap profile.
//
//go:noinline
func keep() {
	kept = append(kept, make([]byte, 1<<20))
}

// start leaks a goroutine that waits for ever.
//
//go:noinline
func start() {
	never := make(chan int)
	go leaked(never)
}

//go:noinline
func leaked(never chan int) {
	<-never
}

//go:noinline
func contend() {
	for {
		lock.Lock()
		time.Sleep(2 * time.Millisecond)
		lock.Unlock()
		time.Sleep(time.Millisecond)
	}
}

//go:noinline
func often(duration time.Duration) (sum uint64) {
	for end := time.Now().Add(duration); time.Now().Before(end); {
		for i := uint64(0); i < 20_000; i++ {
			sum += i * i
		}
	}
	return sum
}

//go:noinline
func seldom(duration time.Duration) (sum uint64) {
	for end := time.Now().Add(duration); time.Now().Before(end); {
		for i := uint64(0); i < 20_000; i++ {
			sum ^= i * 7
		}
	}
	return sum
}
