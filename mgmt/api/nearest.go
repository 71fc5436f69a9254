package api

import "strings"

// Nearest is the one of names that word was probably meant to be, for "did you
// mean" hints, or "" when none is near: a beginning, another case, or at most
// one typing error per three letters.
func Nearest(word string, names []string) string {
	if len(word) > 64 {
		return ""
	}
	limit := min(len(word)/3+1, len(word)-1)
	best, bestCost := "", limit+1
	low := strings.ToLower(word)
	for _, name := range names {
		n := strings.ToLower(name)
		if len(low) >= 2 && strings.HasPrefix(n, low) {
			return name
		}
		if cost := distance(low, n); cost < bestCost {
			best, bestCost = name, cost
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}
