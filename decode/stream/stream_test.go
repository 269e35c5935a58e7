// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"encoding/binary"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
)

// player feeds a Conn of a traced client, a row a nanosecond.
type player struct {
	*Conn
	seq  uint64
	last Change
}

func newPlayer() *player {
	p := &player{Conn: NewConn()}
	p.apply(&decode.Row{Kind: decode.RowOpen, Info: &capture.ConnInfo{Fresh: true}})
	p.apply(&decode.Row{Kind: decode.RowPreface})
	return p
}

func (p *player) apply(r *decode.Row) {
	p.seq++
	r.Role = capture.Client
	r.Time, r.TimeEnd = int64(p.seq), int64(p.seq)
	p.last = p.Apply(p.seq, r)
}

func (p *player) frame(d capture.Direction, t http2.FrameType, f http2.Flags, id uint32, payload ...byte) {
	p.apply(&decode.Row{Kind: decode.RowFrame, Direction: d,
		Header: decode.FrameHeader{Length: uint32(len(payload)), Type: t, Flags: f, StreamID: id}, Payload: payload})
}

// headers is a HEADERS frame with the fields name, value, name, value.
func (p *player) headers(d capture.Direction, f http2.Flags, id uint32, nv ...string) {
	r := &decode.Row{Kind: decode.RowFrame, Direction: d, HasFields: true,
		Header: decode.FrameHeader{Type: http2.FrameHeaders, Flags: f | http2.FlagHeadersEndHeaders, StreamID: id}}
	for i := 0; i < len(nv); i += 2 {
		r.Fields = append(r.Fields, decode.Field{Name: nv[i], Value: nv[i+1], NameKnown: true, ValueKnown: true})
	}
	p.apply(r)
}

func (p *player) promise(d capture.Direction, on, promised uint32) {
	r := &decode.Row{Kind: decode.RowFrame, Direction: d, HasFields: true, Payload: binary.BigEndian.AppendUint32(nil, promised),
		Header: decode.FrameHeader{Length: 4, Type: http2.FramePushPromise, Flags: http2.FlagPushPromiseEndHeaders, StreamID: on}}
	r.Fields = []decode.Field{{Name: ":method", Value: "GET", NameKnown: true, ValueKnown: true}}
	p.apply(r)
}

func (p *player) setting(d capture.Direction, id http2.SettingID, v uint32) {
	b := binary.BigEndian.AppendUint16(nil, uint16(id))
	p.frame(d, http2.FrameSettings, 0, 0, binary.BigEndian.AppendUint32(b, v)...)
}

func (p *player) ack(d capture.Direction) { p.frame(d, http2.FrameSettings, http2.FlagSettingsAck, 0) }

func (p *player) update(d capture.Direction, id, inc uint32) {
	p.frame(d, http2.FrameWindowUpdate, 0, id, binary.BigEndian.AppendUint32(nil, inc)...)
}

const (
	send, recv = capture.Send, capture.Recv
	end        = http2.FlagDataEndStream
)

// TestStates walks the figure of RFC 9113, section 5.1, as the client sees it.
func TestStates(t *testing.T) {
	get := func(f http2.Flags) func(*player) {
		return func(p *player) { p.headers(send, f, 1, ":method", "GET") }
	}
	ok := func(f http2.Flags) func(*player) {
		return func(p *player) { p.headers(recv, f, 1, ":status", "200") }
	}
	data := func(d capture.Direction, f http2.Flags) func(*player) {
		return func(p *player) { p.frame(d, http2.FrameData, f, 1, 'x') }
	}
	rst := func(d capture.Direction, code byte) func(*player) {
		return func(p *player) { p.frame(d, http2.FrameRSTStream, 0, 1, 0, 0, 0, code) }
	}
	for _, c := range []struct {
		name    string
		steps   []func(*player)
		state   State
		outcome Outcome
	}{
		{"request", []func(*player){get(0)}, Open, InProgress},
		{"request ended", []func(*player){get(end)}, HalfClosedLocal, InProgress},
		{"request ended by DATA", []func(*player){get(0), data(send, end)}, HalfClosedLocal, InProgress},
		{"response first", []func(*player){get(0), ok(end)}, HalfClosedRemote, InProgress},
		{"both", []func(*player){get(end), ok(0), data(recv, 0), data(recv, end)}, Closed, Complete},
		{"reset", []func(*player){get(end), rst(send, 8)}, Closed, Reset},
		{"refused", []func(*player){get(end), rst(recv, 7)}, Closed, Refused},
		{"response does not need the rest", []func(*player){get(0), ok(end), rst(recv, 0)}, Closed, Complete},
		{"reset after the end", []func(*player){get(end), ok(end), rst(send, 8)}, Closed, Complete},
		{"response cut into CONTINUATION", []func(*player){get(end), func(p *player) {
			p.frame(recv, http2.FrameHeaders, end, 1, 0x88)
			if s := p.Stream(1).State(); s != HalfClosedLocal {
				p.last.Stream = nil
			}
			p.frame(recv, http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1)
		}}, Closed, Complete},
		{"connection ends", []func(*player){get(end), func(p *player) { p.apply(&decode.Row{Kind: decode.RowClose}) }}, Closed, Cut},
		{"GOAWAY leaves it out", []func(*player){get(end), func(p *player) {
			p.frame(recv, http2.FrameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
			p.apply(&decode.Row{Kind: decode.RowClose})
		}}, Closed, Refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlayer()
			for _, step := range c.steps {
				step(p)
			}
			s := p.Stream(1)
			if s == nil {
				t.Fatal("no record")
			}
			if s.State() != c.state || s.Outcome != c.outcome {
				t.Errorf("%s, %s; want %s, %s", s.State(), s.Outcome, c.state, c.outcome)
			}
			if open := c.state != Closed; (p.NumOpen(true) == 1) != open {
				t.Errorf("%d streams are open", p.NumOpen(true))
			}
		})
	}
}

func TestPush(t *testing.T) {
	p := newPlayer()
	p.headers(send, end, 1, ":method", "GET")
	if !p.Idle(2) {
		t.Error("stream 2 is not idle before its promise")
	}
	p.promise(recv, 1, 2)
	s := p.Stream(2)
	if s == nil || s.State() != ReservedRemote || s.Parent != 1 || s.Method != "GET" || p.NumOpen(false) != 0 || p.Idle(2) {
		t.Fatalf("after the promise: %+v", s)
	}
	p.headers(recv, 0, 2, ":status", "200")
	if s.State() != HalfClosedLocal || p.NumOpen(false) != 1 {
		t.Errorf("after HEADERS: %s, %d open", s.State(), p.NumOpen(false))
	}
	p.frame(recv, http2.FrameData, end, 2)
	if s.State() != Closed || s.Outcome != Complete || p.NumOpen(false) != 0 {
		t.Errorf("at the end: %s, %s", s.State(), s.Outcome)
	}
}

func TestTimes(t *testing.T) {
	p := newPlayer() // two rows
	var done []Stream
	p.Done = func(s *Stream) { done = append(done, *s) }
	p.headers(send, 0, 1, ":method", "POST", "content-length", "1")  // 3
	p.frame(send, http2.FrameData, end, 1, 'x')                      // 4
	p.headers(recv, 0, 1, ":status", "103")                          // 5
	p.headers(recv, 0, 1, ":status", "200")                          // 6
	p.frame(recv, http2.FrameData, http2.FlagDataPadded, 1, 1, 2, 0) // 7
	p.headers(recv, end, 1, "grpc-status", "0")                      // 8
	if len(done) != 1 {
		t.Fatalf("%d streams are done", len(done))
	}
	s := done[0]
	if s.RequestSent != 3 || s.RequestEnd != 4 || s.ResponseStart != 6 || s.End != 8 {
		t.Errorf("times %d %d %d %d", s.RequestSent, s.RequestEnd, s.ResponseStart, s.End)
	}
	rq, rs := s.Side(send), s.Side(recv)
	if s.Method != "POST" || s.Status != 200 || rq.Length != 1 || rq.Data != 1 || rs.Data != 1 || rs.Window.Consumed != 3 || rs.Interim != 1 || !rs.Trailers {
		t.Errorf("%+v", s)
	}
}

// TestSettingsApplyWhenAcknowledged: a window is a difference, so a changed
// initial size reaches the streams that are open too.
func TestSettingsApplyWhenAcknowledged(t *testing.T) {
	p := newPlayer()
	p.headers(send, 0, 1, ":method", "POST")
	p.frame(send, http2.FrameData, 0, 1, make([]byte, 1000)...)
	left := func() int64 { return p.Stream(1).Side(send).Window.Left(p.Half(recv).Acked.InitialWindowSize) }
	for _, step := range []struct {
		name string
		do   func()
		want int64
	}{
		{"default", func() {}, 65535 - 1000},
		{"announced", func() { p.setting(recv, http2.SettingInitialWindowSize, 100) }, 65535 - 1000},
		{"announced again", func() { p.setting(recv, http2.SettingInitialWindowSize, 2000) }, 65535 - 1000},
		{"first acknowledged", func() { p.ack(send) }, 100 - 1000},
		{"second acknowledged", func() { p.ack(send) }, 2000 - 1000},
		{"WINDOW_UPDATE", func() { p.update(recv, 1, 50) }, 2050 - 1000},
		{"other direction", func() { p.setting(send, http2.SettingInitialWindowSize, 9); p.ack(recv) }, 2050 - 1000},
	} {
		step.do()
		if got := left(); got != step.want {
			t.Errorf("%s: %d octets left, want %d", step.name, got, step.want)
		}
		if step.name == "announced again" {
			h := p.Half(recv)
			if h.Loosest.InitialWindowSize != 65535 || h.LeastWindow != 100 {
				t.Errorf("between %d and %d", h.LeastWindow, h.Loosest.InitialWindowSize)
			}
		}
	}
	if w := p.Half(send).Window; w.Consumed != 1000 || w.Granted != 0 {
		t.Errorf("connection: %+v", w)
	}
}

func TestStall(t *testing.T) {
	p := newPlayer()
	p.setting(recv, http2.SettingInitialWindowSize, 10)
	p.ack(send)
	p.headers(send, 0, 1, ":method", "POST")
	p.frame(send, http2.FrameData, 0, 1, make([]byte, 10)...)
	at := p.seq
	p.ack(recv) // of nothing
	p.update(recv, 1, 1)
	if s := p.last.Stalls[0]; s.Seq != at || s.Since != int64(at) || s.Till != int64(at)+2 || s.Direction != send {
		t.Errorf("ended by WINDOW_UPDATE: %+v", s)
	}
	p.frame(send, http2.FrameData, 0, 1, 1)
	at = p.seq
	p.setting(recv, http2.SettingInitialWindowSize, 20)
	p.ack(send)
	p.frame(send, http2.FrameData, 0, 1, 1)
	if s := p.last.Stalls[0]; s.Seq != at || s.Till != int64(at)+2 {
		t.Errorf("ended by SETTINGS: %+v", s)
	}
}

// A stall that SETTINGS begin: of streams that have sent DATA and go on.
func TestStallByLoweredWindow(t *testing.T) {
	for _, end := range []string{"WINDOW_UPDATE", "SETTINGS", "DATA that ends", "trailers"} {
		p := newPlayer()
		p.setting(recv, http2.SettingInitialWindowSize, 100)
		p.ack(send)
		for _, id := range []uint32{1, 3, 5, 7} {
			p.headers(send, 0, id, ":method", "POST")
		}
		p.headers(send, http2.FlagHeadersEndStream, 9, ":method", "GET")
		p.frame(send, http2.FrameData, 0, 1, make([]byte, 50)...)
		p.frame(send, http2.FrameData, 0, 3, make([]byte, 5)...)
		p.frame(send, http2.FrameData, http2.FlagDataEndStream, 5, make([]byte, 50)...)
		p.setting(recv, http2.SettingInitialWindowSize, 10)
		if p.Stream(1).Side(send).Window.EmptySeq != 0 {
			t.Error("before it is acknowledged")
		}
		p.ack(send)
		at := p.seq
		for id, want := range map[uint32]uint64{1: at, 3: 0, 5: 0, 7: 0, 9: 0} {
			if w := p.Stream(id).Side(send).Window; w.EmptySeq != want || want != 0 && (w.EmptyBy != Lowered || w.EmptySince != int64(at)) {
				t.Errorf("stream %d: %+v", id, w)
			}
		}
		if !p.last.Lowered {
			t.Error("the change does not tell")
		}
		p.update(recv, 1, 40) // to 0
		if p.last.Stalls[0].Seq != 0 {
			t.Errorf("%+v with an empty window", p.last.Stalls[0])
		}
		till, held := int64(p.seq)+1, true
		switch end {
		case "WINDOW_UPDATE":
			p.update(recv, 1, 1)
		case "SETTINGS":
			p.setting(recv, http2.SettingInitialWindowSize, 20)
			p.ack(send)
			till++
			p.frame(send, http2.FrameData, 0, 1, 1)
		case "DATA that ends":
			held = false
			p.frame(send, http2.FrameData, http2.FlagDataEndStream, 1)
		case "trailers":
			held = false
			p.headers(send, http2.FlagHeadersEndStream, 1, "a", "b")
		}
		if s := p.last.Stalls[0]; s.Seq != at || s.Since != int64(at) || s.Till != till || s.By != Lowered || s.Held() != held {
			t.Errorf("%s: %+v", end, s)
		}
	}
}

// A stream that begins without a window was held up if its DATA comes once there is
// one.
func TestStallBeforeData(t *testing.T) {
	for _, test := range []struct {
		end  string
		held bool
	}{{"DATA soon", true}, {"DATA late", false}, {"DATA after SETTINGS", true}, {"an end", false}, {"trailers", false}, {"a reset", false}} {
		p := newPlayer()
		p.setting(recv, http2.SettingInitialWindowSize, 0)
		p.ack(send)
		p.headers(send, 0, 1, ":method", "POST")
		at := p.seq
		if w := p.Stream(1).Side(send).Window; w.EmptySeq != at || w.EmptyBy != BeforeData {
			t.Fatalf("%+v", w)
		}
		for range 5 {
			p.update(recv, 0, 1)
		}
		if test.end == "DATA after SETTINGS" {
			p.setting(recv, http2.SettingInitialWindowSize, 10)
			p.ack(send)
		} else {
			p.update(recv, 1, 10)
		}
		till := int64(p.seq)
		if p.last.Stalls[0].Seq != 0 {
			t.Errorf("%s: told before it is known: %+v", test.end, p.last.Stalls[0])
		}
		switch test.end {
		case "DATA late":
			for range 20 {
				p.update(recv, 1, 1)
			}
			fallthrough
		case "DATA soon", "DATA after SETTINGS":
			p.frame(send, http2.FrameData, 0, 1, 1)
		case "an end":
			p.frame(send, http2.FrameData, http2.FlagDataEndStream, 1)
		case "trailers":
			p.headers(send, http2.FlagHeadersEndStream, 1, "a", "b")
		case "a reset":
			p.frame(recv, http2.FrameRSTStream, 0, 1, 0, 0, 0, 8)
		}
		if s := p.last.Stalls[0]; s.Seq != at || s.Since != int64(at) || s.Till != till || s.By != BeforeData || s.Held() != test.held {
			t.Errorf("%s: %+v", test.end, s)
		}
	}
	// The settings often come after the first requests.
	p := newPlayer()
	p.headers(send, 0, 1, ":method", "POST")
	p.setting(recv, http2.SettingInitialWindowSize, 0)
	p.ack(send)
	at := p.seq
	if w := p.Stream(1).Side(send).Window; w.EmptySeq != at || w.EmptyBy != BeforeData {
		t.Errorf("taken before any DATA: %+v", w)
	}
	p.update(recv, 1, 10)
	p.frame(send, http2.FrameData, 0, 1, 1)
	if s := p.last.Stalls[0]; s.Seq != at || s.Till != int64(at)+1 || !s.Held() {
		t.Errorf("taken before any DATA: %+v", s)
	}
	p = newPlayer()
	p.setting(recv, http2.SettingInitialWindowSize, 0)
	p.ack(send)
	p.headers(send, http2.FlagHeadersEndStream, 1, ":method", "GET")
	if w := p.Stream(1).Side(send).Window; w.EmptySeq != 0 {
		t.Errorf("of a message without DATA: %+v", w)
	}
}

// TestGaps: what a gap leaves known.
func TestGaps(t *testing.T) {
	inPayload := newPlayer()
	inPayload.headers(send, 0, 1, ":method", "POST")
	inPayload.apply(&decode.Row{Kind: decode.RowGap, Direction: send, GapBytes: 5, GapReason: decode.GapNotCopied})
	if inPayload.Half(send).Complete() {
		t.Error("complete before it is known where the gap ends")
	}
	inPayload.apply(&decode.Row{Kind: decode.RowFrame, Direction: send, Missing: 5, Payload: make([]byte, 9),
		Header: decode.FrameHeader{Length: 9, StreamID: 1}})
	if s := inPayload.Stream(1); !inPayload.Half(send).Complete() || !inPayload.Whole(s, send) || s.Side(send).Data != 9 {
		t.Error("a hole inside a payload is taken for more")
	}

	between := newPlayer()
	between.headers(send, 0, 1, ":method", "POST")
	between.apply(&decode.Row{Kind: decode.RowGap, Direction: send, GapBytes: 50, GapReason: decode.GapLost})
	between.update(send, 0, 1)
	s := between.Stream(1)
	if between.Half(send).Complete() || between.Whole(s, send) || !between.Whole(s, recv) || between.Idle(9) || between.WindowSure(recv) || !between.WindowSure(send) {
		t.Error("lost frames are taken for none")
	}
	for range 2 * doubtedFrames {
		between.update(send, 0, 1)
	}
	between.headers(send, 0, 9, ":method", "GET")
	if between.Idle(9) || !between.Idle(11) {
		t.Error("a request does not tell what was begun")
	}
}

// TestBounds: whatever is opened, the records are bounded.
func TestBounds(t *testing.T) {
	p := newPlayer()
	for id := uint32(1); id < 1<<17; id += 2 {
		p.headers(send, 0, id, ":method", "GET")
		p.promise(recv, id, id+1)
		if id%16 == 1 {
			p.frame(send, http2.FrameRSTStream, 0, id, 0, 0, 0, 8)
		}
		p.setting(send, http2.SettingInitialWindowSize, id)
	}
	if n := len(p.streams); n > MaxOpen+MaxClosed || n != p.open.n+p.closed.n {
		t.Errorf("%d records, lists of %d and %d", n, p.open.n, p.closed.n)
	}
	if n := len(p.Half(send).Pending); n != MaxPending {
		t.Errorf("%d settings wait", n)
	}
	if !p.Forgotten() || !p.Overflowed() || p.NumOpen(true) > MaxOpen || p.NumOpen(true) < 0 {
		t.Errorf("%d open, forgotten %v, %v", p.NumOpen(true), p.Forgotten(), p.Overflowed())
	}
	p.apply(&decode.Row{Kind: decode.RowClose})
	if p.open.n != 0 || p.NumOpen(true) != 0 || p.NumOpen(false) != 0 {
		t.Errorf("after the end: %d records, %d and %d open", p.open.n, p.NumOpen(true), p.NumOpen(false))
	}
}
