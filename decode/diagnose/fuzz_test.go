// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"testing"

	"h2sniff/capture"
	"h2sniff/decode/visible"

	"golang.org/x/net/http2"
)

// FuzzTracker feeds calls of both directions: each begins with an octet that
// gives its direction (bit 0), whether it is lost (bit 1), and a wait (the
// rest), and one that gives its length.
func FuzzTracker(f *testing.F) {
	f.Add([]byte("\x00\x18"+http2.ClientPreface+"\x00\x09"+ack+"\x01\x09"+ack), true)
	f.Add([]byte("\x00\x21"+http2.ClientPreface+settings()+"\x01\x09"+settings()+"\x01\x09"+ack+
		"\x00\x0d"+frame(http2.FrameHeaders, endHeaders, 1, "\x82\x84\x87\x41")+"\x01\x0a"+frame(http2.FrameHeaders, endHeaders, 1, "\x88")+
		"\x00\x13"+data(1, 0, 10)+"\x00\x0d"+rst(1, 8)+"\x01\x0d"+update(0, 5)+"\x02\x09"+"123456789"+"\x01\x11"+goAwayFrame(1, 0, "")), true)
	f.Add([]byte("\x01\x09"+settings()+"\x01\x09"+ack+"\x00\x11"+pingFrame+"\x01\x11"+pingAck), false)
	f.Fuzz(func(t *testing.T, b []byte, fresh bool) {
		var events []capture.Event
		var pos [2]uint64
		now := int64(1)
		for len(b) >= 2 {
			d := capture.Direction(b[0] & 1)
			n := min(int(b[1]), len(b)-2)
			now += int64(b[0]>>2) * 100e6
			ev := capture.Event{Kind: capture.Data, Conn: 1, Direction: d, Time: now, Offset: pos[d], Length: uint64(n), Data: b[2 : 2+n]}
			if b[0]&2 != 0 {
				ev.Kind, ev.Data = capture.Lost, nil
			}
			pos[d] += uint64(n)
			events = append(events, ev)
			b = b[2+n:]
		}
		if len(events) == 0 {
			return
		}
		got, _ := diagnoseEvents(events, &capture.ConnInfo{Fresh: fresh})
		for _, d := range got {
			if d.Code == "" || d.Severity == 0 || d.Seq == 0 || visible.String(d.Text) != d.Text {
				t.Errorf("%+v", d)
			}
		}
		// The same again, to the same end.
		if again, _ := diagnoseEvents(events, &capture.ConnInfo{Fresh: fresh}); len(again) != len(got) {
			t.Errorf("%d diagnoses, then %d", len(got), len(again))
		}
	})
}
