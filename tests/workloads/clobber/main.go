// Clobber computes in assembly that uses the frame pointer register for another value. Without arguments it calls the
// assembly in this directory, with "-sign" the assembly of crypto/ecdsa.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"flag"
	"fmt"
	"time"
)

// count adds n to itself n times, with the sum in the frame pointer register and 3,000 bytes of stack.
func count(n uint64) uint64

//go:noinline
func outer(n uint64) uint64 { return inner(n) + 1 }

//go:noinline
func inner(n uint64) uint64 {
	var filler [100]uint64
	filler[n%100] = count(n)
	return filler[n%100] + filler[0]
}

//go:noinline
func sign(key *ecdsa.PrivateKey, digest []byte) uint64 {
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest)
	if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest, signature) {
		panic("the signature is not valid")
	}
	return uint64(len(signature))
}

func main() {
	signs := flag.Bool("sign", false, "sign with P-256")
	flag.Parse()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	digest := sha256.Sum256([]byte("text"))
	var sum uint64
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); {
		if *signs {
			sum += sign(key, digest[:])
		} else {
			sum += outer(1_000_000)
		}
	}
	fmt.Println(sum)
}
