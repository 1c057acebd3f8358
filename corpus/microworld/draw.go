package microworld

import (
	"math/bits"
	"math/rand/v2"
)

// draw is the randomness of one document or example. It is keyed by what is
// drawn, so that no other draw, and no order of work, changes it.
type draw struct{ pcg *rand.PCG }

// newDraw keys a draw by the seed and any further numbers, such as the task,
// the split, the index and the attempt.
func newDraw(seed uint64, keys ...uint64) *draw {
	a, b := mix(seed), mix(^seed)
	for _, k := range keys {
		a, b = mix(a^mix(k)), mix(b+k)
	}
	return &draw{rand.NewPCG(a, b)}
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below is uniform in [0, n). It does not use rand.IntN, whose result may
// depend on the size of int.
func (d *draw) below(n int) int {
	hi, _ := bits.Mul64(d.pcg.Uint64(), uint64(n))
	return int(hi)
}

// percent is true p times in a hundred.
func (d *draw) percent(p int) bool { return d.below(100) < p }

func pick[T any](d *draw, from []T) T { return from[d.below(len(from))] }

// pickOther picks an element that is none of the given ones; from must hold
// such an element.
func pickOther[T comparable](d *draw, from []T, not ...T) T {
	rest := make([]T, 0, len(from))
next:
	for _, x := range from {
		for _, y := range not {
			if x == y {
				continue next
			}
		}
		rest = append(rest, x)
	}
	return pick(d, rest)
}

func shuffle[T any](d *draw, xs []T) {
	for i := len(xs) - 1; i > 0; i-- {
		j := d.below(i + 1)
		xs[i], xs[j] = xs[j], xs[i]
	}
}

// sample picks n different elements in random order.
func sample[T any](d *draw, from []T, n int) []T {
	xs := append([]T(nil), from...)
	shuffle(d, xs)
	return xs[:n]
}
