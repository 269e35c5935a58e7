// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/diagnose"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// traffic fills a store with what decode makes of generated plaintext, at
// times that are the same in every run.
type traffic struct {
	st    *store.Store
	now   int64
	conns map[capture.ConnID]*talk
}

// sampleStart is the time of the first event.
var sampleStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano()

func newTraffic(history int64) *traffic {
	return &traffic{
		st:    store.New(store.Options{History: history}),
		now:   sampleStart,
		conns: make(map[capture.ConnID]*talk),
	}
}

// talk is a connection of a traffic: what goes each way.
type talk struct {
	t       *traffic
	id      capture.ConnID
	conn    *decode.Conn
	tracker *diagnose.Tracker
	ends    [2]*end
}

// end writes one direction.
type end struct {
	talk   *talk
	dir    capture.Direction
	offset uint64
	buf    bytes.Buffer
	fr     *http2.Framer
	block  bytes.Buffer
	enc    *hpack.Encoder
}

func (t *traffic) open(info capture.ConnInfo) *talk {
	id := capture.ConnID(len(t.conns) + 1)
	k := &talk{t: t, id: id, conn: decode.NewConn(id), tracker: diagnose.New(id)}
	t.conns[id] = k
	for d := range k.ends {
		e := &end{talk: k, dir: capture.Direction(d)}
		e.fr = http2.NewFramer(&e.buf, nil)
		e.fr.AllowIllegalWrites = true
		e.enc = hpack.NewEncoder(&e.block)
		k.ends[d] = e
	}
	k.feed(&capture.Event{Kind: capture.Open, Info: &info})
	return k
}

func (k *talk) send() *end { return k.ends[capture.Send] }
func (k *talk) recv() *end { return k.ends[capture.Recv] }

// feed hands an event to the decoder and the rows to the store.
func (k *talk) feed(ev *capture.Event) {
	ev.Conn, ev.Time = k.id, k.t.now
	p, r := k.conn.Protocol(), k.conn.Role()
	k.conn.Feed(ev, func(row *decode.Row) {
		k.tracker.Row(k.t.st.Append(row), row, func(d *diagnose.Diagnosis) {
			k.t.st.Diagnose(d.Seq, store.Finding{
				Code: d.Code, Severity: d.Severity, Message: d.Text, Section: d.Section, Stream: d.Stream,
				Conn: d.Conn, Direction: d.Direction, Since: d.Since, Till: d.Till, Again: d.Again,
			})
		})
	})
	if k.conn.Protocol() != p || k.conn.Role() != r || ev.Kind == capture.Open {
		k.t.st.SetConn(k.id, k.conn.Protocol(), k.conn.Role())
	}
	k.t.now += 137_000
}

func (k *talk) bind(local, remote string, e capture.Evidence) {
	k.feed(&capture.Event{Kind: capture.Bind, Binding: &capture.Binding{
		Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote), Evidence: e}})
}

func (k *talk) close() { k.feed(&capture.Event{Kind: capture.Close}) }

// flush sends what was written as the data of one call.
func (e *end) flush() {
	b := bytes.Clone(e.buf.Bytes())
	e.buf.Reset()
	e.talk.feed(&capture.Event{Kind: capture.Data, Direction: e.dir, Offset: e.offset, Length: uint64(len(b)), Data: b})
	e.offset += uint64(len(b))
}

func (e *end) raw(s string) {
	e.buf.WriteString(s)
	e.flush()
}

// lose says that n octets went and were not captured.
func (e *end) lose(n uint64) {
	e.talk.feed(&capture.Event{Kind: capture.Lost, Direction: e.dir, Offset: e.offset, Length: n})
	e.offset += n
}

// encode makes a field block of names and values, one after the other.
func (e *end) encode(fields ...string) []byte {
	e.block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		e.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: fields[i] == "authorization"})
	}
	return bytes.Clone(e.block.Bytes())
}

func (e *end) headers(stream uint32, endStream bool, fields ...string) {
	e.fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: e.encode(fields...), EndHeaders: true, EndStream: endStream})
	e.flush()
}

func (e *end) data(stream uint32, endStream bool, body string) {
	e.fr.WriteData(stream, endStream, []byte(body))
	e.flush()
}

// write sends one frame that f writes.
func (e *end) write(f func(*http2.Framer) error) {
	if err := f(e.fr); err != nil {
		panic(err)
	}
	e.flush()
}

// sample is traffic of every kind that the UI has to show: each frame type, a
// server and a client, attached at the start and in the middle, HTTP/1.1, a
// malformed frame, octets lost, a connection closed.
func sample(tb testing.TB) *traffic {
	tb.Helper()
	t := newTraffic(0)

	a := t.open(capture.ConnInfo{PID: 4711, TID: 4711, Comm: "nginx", Library: "/usr/lib/x86_64-linux-gnu/libssl.so.3", Role: capture.Server, Fresh: true})
	a.bind("10.0.0.1:443", "10.0.0.7:51234", capture.Exact)
	a.recv().raw(http2.ClientPreface)
	a.recv().write(func(f *http2.Framer) error {
		return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65535}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
	})
	a.send().write(func(f *http2.Framer) error {
		return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 128}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65536}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 16777215})
	})
	a.send().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 2147418112) })
	a.recv().write(func(f *http2.Framer) error { return f.WriteSettingsAck() })
	a.send().write(func(f *http2.Framer) error { return f.WriteSettingsAck() })
	for i := range 8 {
		id := uint32(1 + 2*i)
		a.recv().headers(id, true, ":method", "GET", ":scheme", "https", ":authority", "example.com",
			":path", "/v1/items/"+strings.Repeat("x", i), "user-agent", "nghttp2/1.52.0", "accept", "*/*")
		a.send().headers(id, false, ":status", "200", "server", "nginx/1.22.1", "content-type", "text/html", "content-length", "615")
		a.send().data(id, i%2 == 0, strings.Repeat("Welcome to nginx! ", 34))
		if i%2 == 1 {
			a.send().headers(id, true, "grpc-status", "0", "grpc-message", "")
		}
	}
	a.recv().headers(17, false, ":method", "POST", ":scheme", "https", ":authority", "example.com", ":path", "/upload?name=a%20b", "authorization", "Bearer c2VjcmV0")
	a.recv().write(func(f *http2.Framer) error { return f.WriteDataPadded(17, false, []byte("hello"), make([]byte, 12)) })
	a.send().write(func(f *http2.Framer) error { return f.WriteRSTStream(17, http2.ErrCodeEnhanceYourCalm) })
	a.recv().write(func(f *http2.Framer) error {
		return f.WritePriority(3, http2.PriorityParam{StreamDep: 1, Exclusive: true, Weight: 41})
	})
	a.recv().write(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{1, 2, 3, 4, 5, 6, 7, 8}) })
	a.send().write(func(f *http2.Framer) error { return f.WritePing(true, [8]byte{1, 2, 3, 4, 5, 6, 7, 8}) })
	a.send().write(func(f *http2.Framer) error {
		block := a.send().encode(":method", "GET", ":scheme", "https", ":authority", "example.com", ":path", "/style.css")
		return f.WritePushPromise(http2.PushPromiseParam{StreamID: 15, PromiseID: 2, BlockFragment: block, EndHeaders: true})
	})
	a.send().write(func(f *http2.Framer) error {
		return f.WriteRawFrame(decode.FrameAltSvc, 0, 0, []byte("\x00\x13https://example.comh3=\":443\""))
	})
	a.send().write(func(f *http2.Framer) error {
		return f.WriteRawFrame(decode.FrameOrigin, 0, 0, []byte("\x00\x13https://example.com\x00\x13https://example.org"))
	})
	a.recv().write(func(f *http2.Framer) error {
		return f.WriteRawFrame(decode.FramePriorityUpdate, 0, 0, []byte("\x00\x00\x00\x13u=1, i"))
	})
	a.recv().write(func(f *http2.Framer) error { return f.WriteRawFrame(0x2a, 0x41, 0, []byte("greased")) })

	b := t.open(capture.ConnInfo{PID: 815, TID: 820, Comm: "curl", Library: "/lib/libssl.so.1.1"})
	b.bind("[2001:db8::17]:40022", "[2001:db8:ffff::1]:8443", capture.Inferred)
	b.send().encode(":authority", "mid.example", "cookie", "session=1") // sent before the attach
	b.send().headers(101, false, ":method", "GET", ":scheme", "https", ":authority", "mid.example", ":path", "/after", "cookie", "session=1")
	frag := b.send().encode("x-one", "1", "x-two", strings.Repeat("2", 300))
	b.send().write(func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 103, BlockFragment: frag[:20], Priority: http2.PriorityParam{StreamDep: 101, Weight: 15}})
	})
	b.send().write(func(f *http2.Framer) error { return f.WriteContinuation(103, true, frag[20:]) })
	b.recv().headers(101, true, ":status", "404", "content-length", "0")
	b.recv().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(101, 0) })
	b.recv().lose(1 << 20)
	b.recv().write(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) })
	b.recv().write(func(f *http2.Framer) error {
		return f.WriteGoAway(103, http2.ErrCodeProtocol, []byte("window update of 0"))
	})
	b.close()

	c := t.open(capture.ConnInfo{PID: 4712, TID: 4712, Comm: "nginx", Library: "/usr/lib/x86_64-linux-gnu/libssl.so.3", Role: capture.Server, Fresh: true})
	c.recv().raw("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	return t
}
