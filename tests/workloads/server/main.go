// Server is an HTTP server, and the load for the server.
//
//	server serve ADDR [WORD...]         serves until SIGTERM, then exits 1; serve checks the words
//	server load URL DURATION [WORD...]  sends requests, and prints how long they took in the form of Go's benchmarks
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// burnAtStart runs before the server is ready. Its name must not be in the profile of a window.
func init() {
	if os.Args[1] == "serve" {
		burnAtStart(300 * time.Millisecond)
	}
}

//go:noinline
func burnAtStart(length time.Duration) (n int) {
	for end := time.Now().Add(length); time.Now().Before(end); {
		n++
	}
	return n
}

//go:noinline
func handle(w http.ResponseWriter, _ *http.Request) {
	sum := 0
	for i := 0; i < 200_000; i++ {
		sum += i % 7
	}
	fmt.Fprintln(w, sum)
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3:])
		return
	}
	length, err := time.ParseDuration(os.Args[3])
	check(err)
	load(os.Args[2], length, os.Args[4:])
}

func serve(addr string, words []string) {
	if slices.Contains(words, "mute") {
		fmt.Fprintln(os.Stderr, "waiting for the database")
		time.Sleep(time.Hour)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	http.HandleFunc("/", handle)
	http.HandleFunc("/die", func(http.ResponseWriter, *http.Request) {
		fmt.Fprintln(os.Stderr, "out of ideas")
		os.Exit(3)
	})
	http.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/", http.StatusFound)
	})
	http.HandleFunc("/error", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no", http.StatusInternalServerError)
	})
	go func() {
		fmt.Println("pid", os.Getpid(), "serves", addr)
		check(http.ListenAndServe(addr, nil))
	}()
	for {
		<-stop
		if !slices.Contains(words, "stubborn") {
			os.Exit(1)
		}
	}
}

func load(url string, length time.Duration, words []string) {
	if slices.Contains(words, "stubborn") {
		signal.Ignore(os.Interrupt, syscall.SIGTERM)
	}
	interrupted := make(chan os.Signal, 1)
	if !slices.Contains(words, "stubborn") {
		signal.Notify(interrupted, os.Interrupt)
	}
	start, count := time.Now(), 0
	for time.Since(start) < length && len(interrupted) == 0 {
		response, err := http.Get(url)
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			count++
		}
		if err != nil && !slices.Contains(words, "stubborn") {
			check(err)
		}
	}
	fmt.Printf("BenchmarkRequests \t%d\t%d ns/op\n", count, time.Since(start).Nanoseconds()/int64(max(count, 1)))
	if slices.Contains(words, "fails") {
		fmt.Fprintln(os.Stderr, "3 requests timed out")
		os.Exit(7)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(5)
	}
}
