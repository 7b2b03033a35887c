// Writes templates/src/unicode/classes.bin: the character classes that Go's regular expressions know by name.
//
//	go run ./unicode > ../../../templates/src/unicode/classes.bin
//
// A class is the length of its name, the name, the number of its ranges, and for each range the gap before it and
// its length less one; numbers have seven bits to a byte, the lowest first. After an empty name come other names of
// classes, each before its class, and another empty name; then the characters that differ in case alone: how many
// rings, and for each ring its size and its members.
package main

import (
	"bufio"
	"encoding/binary"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode"
)

func plain(name string) string {
	name = strings.NewReplacer("_", "", "-", "", " ", "").Replace(name)
	return strings.ToUpper(name[:1]) + strings.ToLower(name[1:])
}

func sorted[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	number := func(n rune) { out.Write(binary.AppendUvarint(nil, uint64(n))) }

	text := func(s string) {
		number(rune(len(s)))
		out.WriteString(s)
	}

	classes := map[string]*unicode.RangeTable{}
	for name, table := range unicode.Scripts {
		// Names of several words are lost: Go looks for them without what joins the words.
		if name == plain(name) {
			classes[name] = table
		}
	}
	for name, table := range unicode.Categories {
		classes[plain(name)] = table
	}
	for _, name := range sorted(classes) {
		var ranges [][2]rune
		for c := rune(0); c <= unicode.MaxRune; c++ {
			if !unicode.Is(classes[name], c) {
				continue
			}
			if last := len(ranges) - 1; last >= 0 && ranges[last][1] == c-1 {
				ranges[last][1] = c
			} else {
				ranges = append(ranges, [2]rune{c, c})
			}
		}
		text(name)
		number(rune(len(ranges)))
		end := rune(0)
		for _, r := range ranges {
			number(r[0] - end)
			number(r[1] - r[0])
			end = r[1] + 1
		}
	}
	text("")

	aliases := map[string]string{}
	for name, actual := range unicode.CategoryAliases {
		aliases[plain(name)] = plain(actual)
	}
	for _, name := range sorted(aliases) {
		text(name)
		text(aliases[name])
	}
	text("")

	var rings [][]rune
	for c := rune(0); c <= unicode.MaxRune; c++ {
		ring := []rune{c}
		for next := unicode.SimpleFold(c); next != c; next = unicode.SimpleFold(next) {
			ring = append(ring, next)
		}
		least := ring[0]
		for _, member := range ring {
			least = min(least, member)
		}
		if len(ring) > 1 && least == c {
			rings = append(rings, ring)
		}
	}
	number(rune(len(rings)))
	for _, ring := range rings {
		number(rune(len(ring)))
		for _, c := range ring {
			number(c)
		}
	}
}
