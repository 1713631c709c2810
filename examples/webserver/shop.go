package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
)

// item is one article of the catalogue.
type item struct {
	ID    int      `json:"id"`
	Name  string   `json:"name"`
	Cents int      `json:"cents"`
	Tags  []string `json:"tags"`
}

// order is what a client posts.
type order struct {
	Customer string `json:"customer"`
	Lines    []line `json:"lines"`
}

type line struct {
	ID    int `json:"id"`
	Count int `json:"count"`
}

// receipt answers an order.
type receipt struct {
	Customer string `json:"customer"`
	Cents    int    `json:"cents"`
}

// shop is the service. Its catalogue is fixed, so requests need no lock.
type shop struct {
	items []item
}

func newShop() *shop {
	s := &shop{}
	for id := 0; id < 200; id++ {
		s.items = append(s.items, item{
			ID:    id,
			Name:  fmt.Sprintf("article %03d", id),
			Cents: (id*7919)%10_000 + 99,
			Tags:  []string{"tag" + strconv.Itoa(id%5), "tag" + strconv.Itoa(id%7)},
		})
	}
	return s
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", s.health)
	mux.HandleFunc("/items", s.list)
	mux.HandleFunc("/orders", s.order)
	return mux
}

func (s *shop) health(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "ok")
}

// list answers GET /items?tag=tag3: the matching items, cheapest first.
func (s *shop) list(w http.ResponseWriter, r *http.Request) {
	found := s.tagged(r.URL.Query().Get("tag"))
	sort.Slice(found, func(i, j int) bool { return found[i].Cents < found[j].Cents })
	reply(w, found)
}

func (s *shop) tagged(tag string) []item {
	found := []item{}
	for _, it := range s.items {
		if strings.Contains(strings.Join(it.Tags, " "), tag) {
			found = append(found, it)
		}
	}
	return found
}

// order answers POST /orders with the total.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	var posted order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&posted); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	total := 0
	for _, l := range posted.Lines {
		if l.ID < 0 || l.ID >= len(s.items) {
			http.Error(w, fmt.Sprintf("no item %d", l.ID), http.StatusBadRequest)
			return
		}
		total += s.items[l.ID].Cents * l.Count
	}
	reply(w, receipt{Customer: posted.Customer, Cents: total})
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	// An error means that the client has closed the connection.
	_ = json.NewEncoder(w).Encode(body)
}
