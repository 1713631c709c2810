package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
)

// client sends requests and checks every answer.
type client struct {
	http *http.Client
	base string
}

// selfTest distributes the requests among the clients and returns the first error.
func selfTest(ctx context.Context, base string, requests, clients int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()

	var sent atomic.Int64
	var group sync.WaitGroup
	for i := 0; i < clients; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			c := &client{http: &http.Client{Transport: transport}, base: base}
			for n := sent.Add(1); n <= int64(requests) && ctx.Err() == nil; n = sent.Add(1) {
				if err := c.send(ctx, int(n)); err != nil {
					cancel(fmt.Errorf("request %d: %w", n, err))
				}
			}
		}()
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	fmt.Printf("%d requests answered to %d clients\n", requests, clients)
	return nil
}

// send alternates between list and order requests.
func (c *client) send(ctx context.Context, n int) error {
	if n%2 == 0 {
		return c.list(ctx, n)
	}
	return c.order(ctx, n)
}

func (c *client) list(ctx context.Context, n int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/items?tag=tag%d", c.base, n%7), nil)
	if err != nil {
		return err
	}
	var items []item
	if err := c.do(request, &items); err != nil {
		return err
	}
	if len(items) == 0 {
		return fmt.Errorf("no items for tag%d", n%7)
	}
	return nil
}

func (c *client) order(ctx context.Context, n int) error {
	posted := order{Customer: fmt.Sprintf("customer %d", n)}
	for id := 0; id < 20; id++ {
		posted.Lines = append(posted.Lines, line{ID: (n + id) % 200, Count: id + 1})
	}
	body, err := json.Marshal(posted)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/orders", bytes.NewReader(body))
	if err != nil {
		return err
	}
	var paid receipt
	if err := c.do(request, &paid); err != nil {
		return err
	}
	if paid.Customer != posted.Customer || paid.Cents <= 0 {
		return fmt.Errorf("wrong receipt %+v", paid)
	}
	return nil
}

func (c *client) do(request *http.Request, answer any) error {
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", request.Method, request.URL.Path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
