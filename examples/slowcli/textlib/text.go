// Package textlib counts words in lines.
package textlib

import "regexp"

// CountWords counts the words of a line that are numbers, and the others.
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
