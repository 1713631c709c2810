// Guest runs as WebAssembly: it sorts, encodes and hashes.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"sort"
)

type record struct {
	Name   string
	Values []int
}

func main() {
	random := rand.New(rand.NewSource(1))
	sum := 0
	for range 20 {
		var records []record
		for i := range 500 {
			r := record{Name: fmt.Sprint("record-", i)}
			for range 40 {
				r.Values = append(r.Values, random.Intn(1000))
			}
			sort.Ints(r.Values)
			records = append(records, r)
		}
		text, err := json.Marshal(records)
		if err != nil {
			os.Exit(3)
		}
		digest := sha256.Sum256(text)
		sum += int(digest[0])
	}
	fmt.Println(sum)
}
