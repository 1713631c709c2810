// Generated encodes and decodes JSON with machine code that a module generates at run time.
package main

import (
	"fmt"

	"github.com/bytedance/sonic"

	"goflame.example/foreign/common"
)

type item struct {
	Name   string             `json:"name"`
	Tags   []string           `json:"tags"`
	Prices map[string]float64 `json:"prices"`
	Inner  *item              `json:"inner,omitempty"`
	Counts []int64            `json:"counts"`
}

func main() {
	items := make([]item, 300)
	for i := range items {
		prices := map[string]float64{"a": float64(i) / 7, "b": 2}
		items[i] = item{Name: fmt.Sprint("item", i), Prices: prices, Inner: &item{Name: "inner"}}
		for n := range 30 {
			items[i].Tags = append(items[i].Tags, fmt.Sprintf("tag %q", fmt.Sprint(i*n)))
			items[i].Counts = append(items[i].Counts, int64(i)<<n)
		}
	}
	common.Run(func(int) { decode(encode(items)) })
}

func encode(items []item) []byte {
	text, err := sonic.Marshal(items)
	common.Check(err)
	return text
}

func decode(text []byte) {
	var items []item
	common.Check(sonic.Unmarshal(text, &items))
}
