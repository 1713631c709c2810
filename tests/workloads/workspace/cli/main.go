package main

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"example.com/ws/textlib"
)

func main() {
	line := strings.Repeat("one 2 three 4.5 six words of text ", 20)
	numbers, words := 0, 0
	seen := map[string]int{}
	for start := time.Now(); time.Since(start) < 300*time.Millisecond; {
		n, w := textlib.CountWords(line)
		numbers += n
		words += w
		tally(seen, line)
	}
	fmt.Println(numbers > 0, words > 0, len(sorted(seen)))
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
