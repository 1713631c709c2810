// Assembly compresses, hashes and multiplies with the assembly of several modules and of the standard library.
package main

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"io"
	"math/rand"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/minio/sha256-simd"
	"github.com/zeebo/blake3"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"goflame.example/foreign/common"
)

func main() {
	var texts [common.Workers][]byte
	for worker := range texts {
		texts[worker] = words(int64(worker))
	}
	common.Run(func(worker int) { work(texts[worker]) })
}

func work(text []byte) {
	compress(text)
	s2Both(text)
	hash(text)
	multiply()
}

func words(seed int64) []byte {
	random := rand.New(rand.NewSource(seed))
	metals := []string{"gold", "tin", "iron", "lead"}
	var b bytes.Buffer
	for b.Len() < 1<<20 {
		fmt.Fprintf(&b, "item %d is %d.%02d g of %s;", random.Intn(5000), random.Intn(90), random.Intn(100), metals[random.Intn(4)])
	}
	return b.Bytes()
}

func compress(text []byte) {
	encoder, err := zstd.NewWriter(nil)
	common.Check(err)
	defer encoder.Close()
	decoder, err := zstd.NewReader(bytes.NewReader(encoder.EncodeAll(text, nil)))
	common.Check(err)
	defer decoder.Close()
	_, err = io.Copy(io.Discard, decoder)
	common.Check(err)
}

func s2Both(text []byte) {
	for range 6 {
		_, err := s2.Decode(nil, s2.Encode(nil, text))
		common.Check(err)
	}
}

func hash(text []byte) {
	for range 4 {
		blake3.Sum256(text)
		sha256.Sum256(text)
	}
	sha1.Sum(text)
}

func multiply() {
	a, b := mat.NewDense(150, 150, nil), mat.NewDense(150, 150, nil)
	for i := range 150 {
		for j := range 150 {
			a.Set(i, j, float64(i*j%7))
			b.Set(i, j, float64(i+j))
		}
	}
	var c mat.Dense
	for range 3 {
		c.Mul(a, b)
	}
	row := c.RawRowView(0)
	for range 20000 {
		floats.Dot(row, row)
		floats.AddScaled(row, 1e-9, row)
	}
}
