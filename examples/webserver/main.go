// Webserver is an HTTP service with JSON messages. Like a real service, it spends most of its time in libraries and
// in the kernel: net/http, encoding/json, sockets.
//
// It has two modes:
//
//	webserver -addr 127.0.0.1:8080     serves until SIGINT or SIGTERM, then finishes open requests and exits 0
//	webserver -selftest 60000          serves on a free port, sends itself that many requests, exits 0
//
// In a self-test the clients run in the same process, so they are in the profile too: compare main.(*client)
// with main.(*shop).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to serve on")
	selftest := flag.Int("selftest", 0, "send this many requests to itself, then exit")
	clients := flag.Int("clients", 4, "concurrent clients of the self-test")
	flag.Parse()

	if *selftest > 0 {
		*addr = "127.0.0.1:0"
	}
	if err := run(*addr, *selftest, *clients); err != nil {
		fmt.Fprintln(os.Stderr, "webserver:", err)
		os.Exit(1)
	}
}

// run serves until a signal, the end of the self-test or an error, and shuts down gracefully.
func run(addr string, requests, clients int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: newShop().routes(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintln(os.Stderr, "listening on", listener.Addr())

	var failed error
	if requests > 0 {
		failed = selfTest(ctx, "http://"+listener.Addr().String(), requests, clients)
	} else {
		select {
		case <-ctx.Done():
		case failed = <-served:
			return failed
		}
	}

	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(failed, err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(failed, err)
	}
	return failed
}
