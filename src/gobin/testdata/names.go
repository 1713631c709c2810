// Functions with every form of name that the Go compiler generates.
package main

import (
	"fmt"
	"iter"
	"slices"
	"sync"
)

type T struct{ x int }

func (t T) V() int  { return t.x }
func (t *T) P() int { return t.x + 1 }

type I interface {
	V() int
	P() int
}
type E struct{ *T }
type Pair[A comparable, B any] struct {
	a A
	b B
}

//go:noinline
func (p Pair[A, B]) Get() B { return p.b }

//go:noinline
func (p *Pair[A, B]) Set(b B) { p.b = b }

var glob = func(x int) int { return x + len(fmt.Sprint(x)) }
var globOnce = sync.OnceValue(func() int { fmt.Println("once"); return 1 })

func init() { fmt.Print() }
func init() { func() { fmt.Print("") }() }

//go:noinline
func seq(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i < n; i++ {
			if !yield(i) {
				return
			}
		}
	}
}

//go:noinline
func rng(n int) (s int) {
	for x := range seq(n) {
		for y := range seq(x) {
			if y == 3 {
				defer fmt.Println(s)
			}
			s += y
		}
		func() { s += len(fmt.Sprint(x)) }()
	}
	return
}

//go:noinline
func use(i I, f func() int, g func(*T) int) int { return i.V() + i.P() + f() + g(&T{3}) }

//go:noinline
func outer() func() func() int {
	a := 1
	return func() func() int { b := a; a++; return func() int { a++; b++; return a + b + len(fmt.Sprint(a)) } }
}

type cmpK struct {
	a string
	b any
	c [3]float64
}

func main() {
	t := &T{1}
	fmt.Println(use(t, t.P, (*T).P), use(E{t}, t.V, (*T).P))
	p := Pair[string, []int]{"a", []int{1}}
	p.Set(nil)
	fmt.Println(p.Get(), Pair[int, *T]{1, t}.Get(), Pair[int, *E]{1, nil}.Get())
	fmt.Println(rng(6), outer()()(), glob(3), globOnce())
	var wg sync.WaitGroup
	wg.Add(2)
	go func(x int) { defer wg.Done(); fmt.Println(x) }(3)
	go wg.Done()
	wg.Wait()
	xs := []string{"b", "a"}
	slices.SortFunc(xs, func(a, b string) int { return len(fmt.Sprint(a, b)) })
	m := map[cmpK]int{}
	m[cmpK{"x", 1, [3]float64{}}]++
	fmt.Println(m, any(cmpK{}) == any(cmpK{}))
	defer func() { recover() }()
	var f func(E) int = E.V
	fmt.Println(f(E{t}))
}
