// C functions, and a Go function that C calls back.
package main

/*
extern int goCallback(int);

static int sum(int a, int b) { return a + b; }
static int call_back(int a) { return goCallback(a) + sum(a, 1); }
*/
import "C"

import "fmt"

//export goCallback
func goCallback(a C.int) C.int { return a + 1 }

func main() { fmt.Println(C.sum(3, 4), C.call_back(2)) }
