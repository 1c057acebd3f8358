package main

import "testing"

func TestFitting(t *testing.T) {
	const note = "loss 3.125, 12.0k tok/s, MFU 40%"
	for width, want := range map[int]string{
		80: note, 32: note, 31: "loss 3.125, 12.0k tok/s", 12: "loss 3.125", 10: "loss 3.125", 4: "loss", 0: "",
	} {
		if got := fitting(note, width); got != want {
			t.Errorf("%d columns: %q, want %q", width, got, want)
		}
	}
}
