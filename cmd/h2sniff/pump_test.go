// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"
)

// script is a Source of given events.
type script []capture.Event

func (s *script) Read(ev *capture.Event) error {
	if len(*s) == 0 {
		return io.EOF
	}
	*ev = (*s)[0]
	*s = (*s)[1:]
	return nil
}

func (s *script) Stats() capture.Stats { return capture.Stats{} }
func (s *script) Close() error         { return nil }

// TestPumpDiagnoses: findings stand with the rows that they are about, also
// those that only the end of the connection gives.
func TestPumpDiagnoses(t *testing.T) {
	text := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
		"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + // SETTINGS
		"\x00\x00\x04\x03\x00\x00\x00\x00\x09\x00\x00\x00\x08" // RST_STREAM of an idle stream
	events := script{
		{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{Fresh: true}},
		{Kind: capture.Data, Conn: 1, Direction: capture.Recv, Length: uint64(len(text)), Data: []byte(text)},
	}
	for _, on := range []bool{true, false} {
		src := events
		st := store.New(store.Options{})
		if err := (&pump{src: &src, store: st, diagnose: on}).run(); err != nil {
			t.Fatal(err)
		}
		found := map[string]store.Finding{}
		for _, e := range st.Rows(store.View{}, 0, 100) {
			for _, f := range e.Findings {
				if found[f.Code] = f; e.Header.StreamID != f.Stream {
					t.Errorf("%+v stands with the row of stream %d", f, e.Header.StreamID)
				}
			}
		}
		f, ok := found["frame-on-idle-stream"]
		if ok != on || on && (f.Severity != decode.Error || f.Section == "" || f.Message == "") {
			t.Errorf("diagnose %v: %+v", on, found)
		}
	}
}
