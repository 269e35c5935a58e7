// SPDX-License-Identifier: Apache-2.0

package lines

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"
)

// start is when the traffic of these tests begins.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano()

// traffic feeds events through the decoder into a store and keeps each row
// with what was known of its connection then.
type traffic struct {
	store *store.Store
	conns map[capture.ConnID]*peer
	now   int64
	rows  []written
}

type written struct {
	e store.Entry
	c store.ConnSummary
}

// peer is a connection with an encoder for each direction.
type peer struct {
	tr   *traffic
	id   capture.ConnID
	dec  *decode.Conn
	pos  [2]uint64
	hp   [2]*hpack.Encoder
	hbuf [2]bytes.Buffer
}

func newTraffic() *traffic {
	return &traffic{store: store.New(store.Options{}), conns: make(map[capture.ConnID]*peer), now: start}
}

func (tr *traffic) open(info *capture.ConnInfo) *peer {
	id := capture.ConnID(len(tr.conns) + 1)
	p := &peer{tr: tr, id: id, dec: decode.NewConn(id)}
	for d := range p.hp {
		p.hp[d] = hpack.NewEncoder(&p.hbuf[d])
	}
	tr.conns[id] = p
	p.event(capture.Event{Kind: capture.Open, TID: info.TID, Info: info})
	return p
}

func (p *peer) event(ev capture.Event) {
	tr := p.tr
	ev.Conn, ev.Time = p.id, tr.now
	tr.now += 1_234_567
	p.dec.Feed(&ev, func(row *decode.Row) {
		seq := tr.store.Append(row)
		e, err := tr.store.Frame(seq)
		if err != nil {
			panic(err)
		}
		c, _ := tr.store.Conn(p.id)
		tr.rows = append(tr.rows, written{e, c})
	})
	tr.store.SetConn(p.id, p.dec.Protocol(), p.dec.Role())
}

func (p *peer) octets(d capture.Direction, data []byte) {
	p.event(capture.Event{Kind: capture.Data, Direction: d, TID: 4712,
		Offset: p.pos[d], Length: uint64(len(data)), Data: data})
	p.pos[d] += uint64(len(data))
}

func (p *peer) lose(d capture.Direction, n uint64) {
	p.event(capture.Event{Kind: capture.Lost, Direction: d, Offset: p.pos[d], Length: n})
	p.pos[d] += n
}

// frame sends one frame that is written by package http2.
func (p *peer) frame(d capture.Direction, write func(f *http2.Framer) error) {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	f.AllowIllegalWrites = true
	if err := write(f); err != nil {
		panic(err)
	}
	p.octets(d, b.Bytes())
}

func (p *peer) raw(d capture.Direction, t http2.FrameType, flags http2.Flags, stream uint32, payload string) {
	p.frame(d, func(f *http2.Framer) error { return f.WriteRawFrame(t, flags, stream, []byte(payload)) })
}

// block encodes a field section.
func (p *peer) block(d capture.Direction, fields ...hpack.HeaderField) []byte {
	p.hbuf[d].Reset()
	for _, f := range fields {
		if err := p.hp[d].WriteField(f); err != nil {
			panic(err)
		}
	}
	return bytes.Clone(p.hbuf[d].Bytes())
}

func fields(nv ...string) []hpack.HeaderField {
	var list []hpack.HeaderField
	for i := 0; i < len(nv); i += 2 {
		list = append(list, hpack.HeaderField{Name: nv[i], Value: nv[i+1]})
	}
	return list
}

const (
	send = capture.Send
	recv = capture.Recv
)

// everything is a server's connection with every kind of row and of frame, and
// one that was joined late.
func everything(t *testing.T) []written {
	tr := newTraffic()
	p := tr.open(&capture.ConnInfo{PID: 4711, TID: 4712, Comm: "nginx", Library: "/usr/lib/x86_64-linux-gnu/libssl.so.3", Fresh: true})
	p.event(capture.Event{Kind: capture.Bind, TID: 4712, Binding: &capture.Binding{
		Local: netip.MustParseAddrPort("192.0.2.1:443"), Remote: netip.MustParseAddrPort("[2001:db8::2]:50123"), Evidence: capture.Exact}})
	p.octets(recv, []byte(http2.ClientPreface))
	p.frame(recv, func(f *http2.Framer) error {
		return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100}, http2.Setting{ID: 0x2a, Val: 7})
	})
	p.frame(send, func(f *http2.Framer) error { return f.WriteSettings() })
	p.frame(send, func(f *http2.Framer) error { return f.WriteSettingsAck() })
	p.frame(recv, func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 65536) })
	p.frame(recv, func(f *http2.Framer) error {
		return f.WritePriority(3, http2.PriorityParam{StreamDep: 0, Weight: 200})
	})
	request := append(fields(":method", "GET", ":path", "/søk?q=1", ":scheme", "https", ":authority", "example.org", "x-octets", "\xff\xfe"),
		hpack.HeaderField{Name: "authorization", Value: "Bearer s3cret", Sensitive: true})
	p.frame(recv, func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 13, BlockFragment: p.block(recv, request...),
			EndStream: true, EndHeaders: true, PadLength: 8, Priority: http2.PriorityParam{StreamDep: 11, Weight: 15, Exclusive: true}})
	})
	p.frame(send, func(f *http2.Framer) error {
		return f.WritePushPromise(http2.PushPromiseParam{StreamID: 13, PromiseID: 2, EndHeaders: true,
			BlockFragment: p.block(send, fields(":method", "GET", ":path", "/style.css", ":scheme", "https", ":authority", "example.org")...)})
	})
	response := p.block(send, fields(":status", "200", "server", "nginx", "content-type", "text/html", "x-empty", "")...)
	p.frame(send, func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 13, BlockFragment: response[:10]})
	})
	p.frame(send, func(f *http2.Framer) error { return f.WriteContinuation(13, true, response[10:]) })
	p.frame(send, func(f *http2.Framer) error {
		return f.WriteDataPadded(13, false, []byte("<p>hello\n\x1b[2J"), make([]byte, 3))
	})
	p.frame(send, func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 13, EndHeaders: true, EndStream: true,
			BlockFragment: p.block(send, fields("x-checksum", "12ab")...)})
	})
	p.frame(recv, func(f *http2.Framer) error { return f.WriteRSTStream(2, http2.ErrCodeCancel) })
	p.frame(recv, func(f *http2.Framer) error { return f.WriteRSTStream(4, 0xbeef) })
	p.frame(recv, func(f *http2.Framer) error { return f.WritePing(false, [8]byte{1, 2, 3, 4, 5, 6, 7, 0xff}) })
	p.frame(send, func(f *http2.Framer) error { return f.WritePing(true, [8]byte{1, 2, 3, 4, 5, 6, 7, 0xff}) })
	p.raw(send, decode.FrameAltSvc, 0, 0, "\x00\x13https://example.orgh3=\":443\"; ma=3600")
	p.raw(send, decode.FrameAltSvc, 0, 0, "\x00\x01\xffh3")
	p.raw(send, decode.FrameOrigin, 0, 0, "\x00\x13https://example.org\x00\x13https://example.com")
	p.raw(send, decode.FrameOrigin, 0, 0, "\x00\x03ok.\x00\x01\xff")
	p.raw(recv, decode.FramePriorityUpdate, 0, 0, "\x00\x00\x00\x0du=1, i")
	p.raw(recv, 0x2a, 0x41, 15, "\x00any octets\xff")
	p.raw(recv, http2.FramePing, 0x42, 0, "123")
	p.raw(recv, http2.FrameWindowUpdate, 0, 15, "\x00\x00\x00\x00")
	p.frame(recv, func(f *http2.Framer) error { return f.WriteData(15, true, []byte("request body")) })
	// Eight octets are lost within a DATA frame and a frame of another type.
	p.octets(recv, []byte("\x00\x00\x10\x00\x00\x00\x00\x00\x0fabcd"))
	p.lose(recv, 8)
	p.octets(recv, []byte("mnop"))
	p.octets(recv, []byte("\x00\x00\x04\x03\x00\x00\x00\x00\x0f"))
	p.lose(recv, 4)
	p.frame(send, func(f *http2.Framer) error {
		return f.WriteGoAway(15, http2.ErrCodeEnhanceYourCalm, []byte("too_many\n"))
	})
	p.frame(send, func(f *http2.Framer) error { return f.WriteGoAway(15, http2.ErrCodeNo, []byte("\xfe")) })
	p.event(capture.Event{Kind: capture.Bind, Binding: &capture.Binding{Evidence: capture.Withdrawn}})
	p.octets(send, []byte("\x00\x00\x08\x06\x00\x00\x00\x00\x00\x01\x02"))
	p.event(capture.Event{Kind: capture.Close, TID: 4712})

	late := tr.open(&capture.ConnInfo{PID: 99, TID: 99, Comm: "curl", Library: "libssl.so.3", Container: "client-1", Role: capture.Client})
	late.event(capture.Event{Kind: capture.Bind, Binding: &capture.Binding{
		Local: netip.MustParseAddrPort("127.0.0.1:40000"), Remote: netip.MustParseAddrPort("127.0.0.1:8443"), Evidence: capture.Inferred}})
	get := fields(":method", "GET", ":path", "/again", ":scheme", "https", ":authority", "localhost:8443", "user-agent", "curl/8", "accept", "*/*")
	late.block(send, get...) // before h2sniff attached
	for stream := uint32(3); stream <= 7; stream += 2 {
		request := append(get, fields("x-count", time.Duration(stream).String())...)
		b := late.block(send, request...)
		late.frame(send, func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b, EndStream: true, EndHeaders: true})
		})
		late.frame(recv, func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, EndStream: true, EndHeaders: true,
				BlockFragment: late.block(recv, fields(":status", "204")...)})
		})
	}
	late.event(capture.Event{Kind: capture.Close})

	http1 := tr.open(&capture.ConnInfo{PID: 100, TID: 100, Comm: "wget", Library: "libgnutls.so.30", Fresh: true})
	http1.octets(send, []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	http1.event(capture.Event{Kind: capture.Close})

	// Both ends of one connection.
	var ends [2]*peer
	for i, a := range []string{"192.0.2.1:443", "192.0.2.2:50124"} {
		ends[i] = tr.open(&capture.ConnInfo{PID: 201 + uint32(i), Comm: "both", Library: "libssl.so.3", Fresh: true})
		b := []string{"192.0.2.2:50124", "192.0.2.1:443"}[i]
		ends[i].event(capture.Event{Kind: capture.Bind, Binding: &capture.Binding{
			Local: netip.MustParseAddrPort(a), Remote: netip.MustParseAddrPort(b), Evidence: capture.Exact}})
	}
	for _, end := range ends {
		end.event(capture.Event{Kind: capture.Close})
	}

	// A server without HTTP/2.
	refused := tr.open(&capture.ConnInfo{PID: 101, TID: 101, Comm: "curl", Library: "TCP (cleartext)", Fresh: true})
	refused.octets(send, []byte(http2.ClientPreface))
	refused.frame(send, func(f *http2.Framer) error { return f.WriteSettings() })
	refused.octets(recv, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	refused.event(capture.Event{Kind: capture.Close})

	seen := make(map[decode.RowKind]bool)
	types := make(map[http2.FrameType]bool)
	trust := make(map[decode.Trust]bool)
	for _, r := range tr.rows {
		seen[r.e.Kind] = true
		if r.e.Kind == decode.RowFrame {
			types[r.e.Header.Type] = true
		}
		for _, f := range r.e.Fields {
			trust[f.Trust] = true
		}
	}
	for k := decode.RowOpen; k <= decode.RowProtocol; k++ {
		if !seen[k] {
			t.Errorf("the traffic has no row of kind %v", k)
		}
	}
	for _, typ := range []http2.FrameType{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa, 0xc, 0x10, 0x2a} {
		if !types[typ] {
			t.Errorf("the traffic has no %s frame", decode.TypeName(typ))
		}
	}
	if !trust[decode.UnknownSinceAttach] {
		t.Error("the traffic has no field that is unknown since the attach")
	}
	return tr.rows
}
