// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

// partners asks for the partner of a row, in the smallest slices.
func partners(t *testing.T, s *Store, seq uint64) (uint64, error) {
	t.Helper()
	p, err := s.Partner(seq)
	if err != nil {
		return 0, err
	}
	for i := 0; !p.Advance(0); i++ {
		if i > 1000 {
			t.Fatal("Advance does not come to an end")
		}
	}
	return p.Found()
}

// fresh is a store with a connection that was seen from its beginning.
func fresh() *Store {
	s := New(Options{})
	for conn := range capture.ConnID(2) {
		s.Append(&decode.Row{Conn: conn + 1, Kind: decode.RowOpen, Info: &capture.ConnInfo{Fresh: true}})
	}
	return s
}

func TestPartner(t *testing.T) {
	ack := http2.FlagSettingsAck
	increment := func(n byte) string { return string([]byte{0, 0, 0, n}) }
	const none = 0 // ErrNoPartner or ErrPartnerUnknown
	for _, c := range []struct {
		name string
		rows []*decode.Row
		want map[uint64]uint64 // from 3 on: the rows before open the connections
	}{
		{"request and response", []*decode.Row{
			recv(frame(1, 1, http2.FrameHeaders, 0, "", ":method", "GET")),
			recv(frame(2, 1, http2.FrameHeaders, 0, "", ":method", "GET")),
			recv(frame(1, 3, http2.FrameHeaders, 0, "", ":method", "GET")),
			frame(1, 3, http2.FrameHeaders, 0, "", ":status", "200"),
			frame(1, 1, http2.FrameHeaders, 0, "", ":status", "103"),
			frame(1, 1, http2.FrameHeaders, 0, "", ":status", "404"),
			frame(1, 1, http2.FrameHeaders, 0, "", "grpc-status", "0"),
			recv(frame(1, 5, http2.FrameHeaders, 0, "", ":method", "POST")),
			frame(1, 5, http2.FrameHeaders, 0, "", ":status", "100"),
			frame(1, 1, http2.FrameRSTStream, 0, "\x00\x00\x00\x00"),
		}, map[uint64]uint64{3: 8, 4: none, 5: 6, 6: 5, 7: 3, 8: 3, 9: 3, 10: 11, 11: 10, 12: none}},
		{"SETTINGS", []*decode.Row{
			recv(frame(1, 0, http2.FrameSettings, 0, "")),
			frame(1, 0, http2.FrameSettings, 0, ""),
			frame(1, 0, http2.FrameSettings, 0, ""),
			frame(1, 0, http2.FrameSettings, ack, ""),
			recv(frame(1, 0, http2.FrameSettings, ack, "")),
			recv(frame(2, 0, http2.FrameSettings, ack, "")),
			recv(frame(1, 0, http2.FrameSettings, ack, "")),
			recv(frame(1, 0, http2.FrameSettings, 0, "")),
		}, map[uint64]uint64{3: 6, 6: 3, 4: 7, 7: 4, 5: 9, 9: 5, 8: none, 10: none}},
		{"PING", []*decode.Row{
			recv(frame(1, 0, http2.FramePing, 0, "aaaaaaaa")),
			recv(frame(1, 0, http2.FramePing, 0, "bbbbbbbb")),
			frame(1, 0, http2.FramePing, 0, "aaaaaaaa"),
			frame(1, 0, http2.FramePing, http2.FlagPingAck, "bbbbbbbb"),
			frame(1, 0, http2.FramePing, http2.FlagPingAck, "aaaaaaaa"),
			recv(frame(1, 0, http2.FramePing, 0, "aaaaaaaa")),
			frame(1, 0, http2.FramePing, http2.FlagPingAck, "aaaaaaaa"),
			frame(1, 0, http2.FramePing, http2.FlagPingAck, "cccccccc"),
		}, map[uint64]uint64{3: 7, 7: 3, 4: 6, 6: 4, 5: none, 8: 9, 9: 8, 10: none}},
		{"PINGs with equal data", []*decode.Row{
			frame(1, 0, http2.FramePing, 0, "aaaaaaaa"),
			recv(frame(1, 0, http2.FramePing, 0, "bbbbbbbb")),
			frame(1, 0, http2.FramePing, 0, "aaaaaaaa"),
			recv(frame(1, 0, http2.FramePing, http2.FlagPingAck, "aaaaaaaa")),
			frame(1, 0, http2.FramePing, http2.FlagPingAck, "bbbbbbbb"),
			recv(frame(1, 0, http2.FramePing, http2.FlagPingAck, "aaaaaaaa")),
			recv(frame(1, 0, http2.FramePing, http2.FlagPingAck, "aaaaaaaa")),
			frame(1, 0, http2.FramePing, 0, "aaaaaaaa"),
			recv(frame(1, 0, http2.FramePing, http2.FlagPingAck, "aaaaaaaa")),
		}, map[uint64]uint64{3: 6, 6: 3, 4: 7, 7: 4, 5: 8, 8: 5, 9: none, 10: 11, 11: 10}},
		{"PINGs and a gap", []*decode.Row{
			frame(1, 0, http2.FramePing, 0, "aaaaaaaa"),
			{Conn: 1, Kind: decode.RowGap, GapBytes: 17},
			frame(1, 0, http2.FramePing, 0, "aaaaaaaa"),
			recv(frame(1, 0, http2.FramePing, http2.FlagPingAck, "aaaaaaaa")),
			frame(1, 0, http2.FramePing, 0, "aaaaaaaa"),
			{Conn: 1, Kind: decode.RowGap, GapBytes: 5},
			recv(frame(1, 0, http2.FramePing, http2.FlagPingAck, "aaaaaaaa")),
			frame(1, 0, http2.FramePing, 0, "aaaaaaaa"),
			frame(1, 0, http2.FramePing, 0, "aaaaaaaa"),
			{Conn: 1, Kind: decode.RowGap, GapBytes: 17},
			recv(frame(1, 0, http2.FramePing, http2.FlagPingAck, "aaaaaaaa")),
		}, map[uint64]uint64{3: none, 5: 6, 6: 5, 7: 9, 9: 7, 10: none, 11: none, 13: none}},
		{"DATA and WINDOW_UPDATE of the stream", []*decode.Row{
			recv(frame(1, 1, http2.FrameHeaders, 0, "", ":method", "POST")),
			recv(frame(1, 1, http2.FrameData, 0, "0123456789")),
			frame(1, 0, http2.FrameWindowUpdate, 0, increment(10)),
			recv(frame(1, 1, http2.FrameData, 0, "0123456789")),
			frame(1, 1, http2.FrameWindowUpdate, 0, increment(15)),
			frame(1, 1, http2.FrameWindowUpdate, 0, increment(5)),
			recv(frame(1, 1, http2.FrameData, 0, "0123456789")),
			frame(1, 1, http2.FrameWindowUpdate, 0, increment(0)),
		}, map[uint64]uint64{4: 7, 7: 4, 6: 8, 8: 6, 5: 4, 9: none, 10: none}},
		{"DATA and WINDOW_UPDATE of the connection", []*decode.Row{
			recv(frame(1, 1, http2.FrameHeaders, 0, "", ":method", "POST")),
			recv(frame(1, 1, http2.FrameData, 0, "0123456789")),
			recv(frame(1, 3, http2.FrameHeaders, 0, "", ":method", "POST")),
			recv(frame(1, 3, http2.FrameData, 0, "0123456789")),
			frame(1, 0, http2.FrameWindowUpdate, 0, increment(20)),
		}, map[uint64]uint64{4: 7, 6: 7, 7: 6}},
		{"promise", []*decode.Row{
			frame(1, 1, http2.FramePushPromise, 0, "\x00\x00\x00\x02", ":method", "GET"),
			frame(1, 2, http2.FrameHeaders, 0, "", ":status", "200"),
		}, map[uint64]uint64{3: 4, 4: none}},
		{"gap", []*decode.Row{
			recv(frame(1, 0, http2.FrameSettings, 0, "")),
			{Conn: 1, Kind: decode.RowGap, GapBytes: 9},
			frame(1, 0, http2.FrameSettings, ack, ""),
		}, map[uint64]uint64{3: none, 4: none, 5: none}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fresh()
			for _, r := range c.rows {
				s.Append(r)
			}
			for row, want := range c.want {
				got, err := partners(t, s, row)
				if want == none && !errors.Is(err, ErrNoPartner) && !errors.Is(err, ErrPartnerUnknown) || want != none && err != nil || got != want {
					t.Errorf("row %d: %d, %v; want %d", row, got, err, want)
				}
			}
		})
	}
}

// What was not seen is not counted past.
func TestPartnerOfMidConnection(t *testing.T) {
	s := New(Options{})
	s.Append(&decode.Row{Conn: 1, Kind: decode.RowOpen, Info: &capture.ConnInfo{}})
	s.Append(recv(frame(1, 0, http2.FrameSettings, 0, "")))
	s.Append(frame(1, 0, http2.FrameSettings, http2.FlagSettingsAck, ""))
	for _, seq := range []uint64{2, 3} {
		if got, err := partners(t, s, seq); !errors.Is(err, ErrPartnerUnknown) {
			t.Errorf("row %d: %d, %v", seq, got, err)
		}
	}
	if _, err := s.Partner(1); !errors.Is(err, ErrNoPartner) {
		t.Errorf("of the opening: %v", err)
	}
	if _, err := s.Partner(4); !errors.Is(err, ErrNotYet) {
		t.Errorf("of a row to come: %v", err)
	}
}

// A slice ends the work, not more work.
func TestPartnerInSlices(t *testing.T) {
	s := fresh()
	s.Append(recv(frame(1, 0, http2.FramePing, 0, "aaaaaaaa")))
	for range 20 * partnerChunk {
		s.Append(frame(1, 0, http2.FramePing, 0, "bbbbbbbb"))
	}
	s.Append(frame(1, 0, http2.FramePing, http2.FlagPingAck, "aaaaaaaa"))
	p, err := s.Partner(3)
	if err != nil {
		t.Fatal(err)
	}
	if p.Advance(-1) {
		t.Error("done in no time")
	}
	if _, err := p.Found(); !errors.Is(err, ErrNotYet) {
		t.Errorf("found before the end: %v", err)
	}
	if !p.Advance(time.Minute) {
		t.Error("not done in a minute")
	}
	if got, err := p.Found(); got != s.Snapshot().Rows || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}
