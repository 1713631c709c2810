// Command cli counts numbers and words, and is slower than it should be.
package main

import (
	"flag"
	"fmt"
	"sort"
	"strings"

	"example.com/slowcli/textlib"
)

func main() {
	lines := flag.Int("lines", 150_000, "how many lines to count")
	flag.Parse()
	line := strings.Repeat("one 2 three 4.5 six words of text ", 3)
	numbers, words := 0, 0
	seen := map[string]int{}
	for i := 0; i < *lines; i++ {
		n, w := textlib.CountWords(line)
		numbers += n
		words += w
		tally(seen, line)
	}
	fmt.Println(numbers, "numbers,", words, "words,", len(sorted(seen)), "different")
}

func tally(seen map[string]int, line string) {
	for _, word := range strings.Fields(line) {
		seen[word]++
	}
}

func sorted(seen map[string]int) []string {
	var words []string
	for word := range seen {
		words = append(words, word)
	}
	sort.Strings(words)
	return words
}
