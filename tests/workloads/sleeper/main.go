// Sleeper prints "ready PID", sleeps and exits 0. It handles no signal, so the first signal ends it.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	duration := flag.Duration("duration", 30*time.Second, "how long to sleep")
	flag.Parse()

	fmt.Println("ready", os.Getpid())
	time.Sleep(*duration)
}
