// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"h2sniff/capture"
)

// FuzzReader: whatever the octets are, reading ends without a panic and with
// an error that the package documents, and the events can be recorded again, from
// where they are read as the same.
func FuzzReader(f *testing.F) {
	_, events, _ := small(f)
	events = slices.DeleteFunc(events, func(ev capture.Event) bool { return len(ev.Data) > 1000 })
	file := write(f, events) // small, so that inputs are tried by the thousand
	f.Add(file)
	f.Add(file[:len(file)-200])
	f.Add(write(f, nil))
	rng := rand.New(rand.NewPCG(1, 3))
	for range 20 {
		broken := bytes.Clone(file)
		for range 3 {
			broken[rng.IntN(len(broken))] ^= byte(1 << rng.IntN(8))
		}
		f.Add(broken)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewReader(bytes.NewReader(file))
		if err == nil {
			var events []capture.Event
			events, err = readAll(r)
			if len(file) < maxFacts {
				checkRoundTrip(t, events)
			}
			if cap(r.data) > 2*maxEventData {
				t.Fatalf("%d octets kept", cap(r.data))
			}
		}
		for _, known := range []error{io.EOF, ErrEmpty, ErrNotRecording, ErrForeign, ErrNewer, ErrTruncated, ErrDamaged} {
			if errors.Is(err, known) {
				return
			}
		}
		t.Fatalf("undocumented error %v", err)
	})
}
