// Sha1 hashes with the assembly of Go 1.22, which keeps data in the frame pointer register.
package main

import (
	"crypto/sha1"

	"goflame.example/foreign/common"
)

func main() {
	text := make([]byte, 1<<16)
	common.Run(func(int) { digest(text) })
}

//go:noinline
func digest(text []byte) [sha1.Size]byte { return sha1.Sum(text) }
