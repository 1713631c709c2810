// Package textlib counts words in lines.
package textlib

import "regexp"

// CountWords returns how many words of a line are numbers, and how many are not.
func CountWords(line string) (numbers, words int) {
	number := regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?$`)
	word := regexp.MustCompile(`\S+`)
	for _, text := range word.FindAllString(line, -1) {
		if number.MatchString(text) {
			numbers++
		} else {
			words++
		}
	}
	return numbers, words
}
