// A cgo program with generic code, closures, wrappers, and a large part of the standard library.
package main

/*
#include <stdint.h>
#include <stdlib.h>

extern int goCompare(void *, void *);

static int compare(const void *a, const void *b) { return goCompare((void *)a, (void *)b); }
static void sort(int32_t *numbers, int count) { qsort(numbers, count, sizeof *numbers, compare); }
*/
import "C"

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"net/http"
	"os/user"
	"text/template"
	"unsafe"
)

//export goCompare
func goCompare(a, b unsafe.Pointer) C.int {
	return C.int(*(*int32)(a) - *(*int32)(b))
}

type number interface{ ~int | ~float64 }

func sum[T number](values ...T) (total T) {
	for _, value := range values {
		total = plus(total, value)
	}
	return total
}

func plus[T number](a, b T) T { return a + b }

type shape interface{ area() float64 }
type square struct{ side float64 }
type named struct {
	*square
	name string
}

func (s square) area() float64 { return s.side * s.side }

func main() {
	numbers := []int32{3, 1, 2}
	C.sort((*C.int32_t)(&numbers[0]), C.int(len(numbers)))
	var s shape = named{&square{2}, "square"}
	fmt.Println(numbers, sum(1, 2), sum(1.5, s.area()))
	text, err := json.Marshal(map[string]any{"numbers": numbers, "tls": tls.VersionName(tls.VersionTLS13)})
	fmt.Println(string(text), err)
	expression, err := parser.ParseExprFrom(token.NewFileSet(), "", "a + b", 0)
	fmt.Println(expression, err)
	me, err := user.Current()
	fmt.Println(me, err, http.StatusText(http.StatusOK), template.HTMLEscapeString("<"))
}
