// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
)

// tap records what one end of a connection sends, by its beginning, and
// receives, by its return.
type tap struct {
	net.Conn
	mu     sync.Mutex
	events []capture.Event
	pos    [2]uint64
}

func (c *tap) note(d capture.Direction, p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, capture.Event{Kind: capture.Data, Conn: 1, Direction: d, Time: time.Now().UnixNano(),
		Offset: c.pos[d], Length: uint64(len(p)), Data: bytes.Clone(p)})
	c.pos[d] += uint64(len(p))
}

// all gives what was recorded until now.
func (c *tap) all() []capture.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events
}

func (c *tap) Write(p []byte) (int, error) {
	c.note(capture.Send, p)
	return c.Conn.Write(p)
}

func (c *tap) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.note(capture.Recv, p[:n])
	}
	return n, err
}

// goTraffic is a connection between the client and the server of net/http, with
// much at once on it: uploads, downloads, trailers, informational responses,
// cancelled requests. It gives what each end saw.
func goTraffic(t *testing.T) (client, server []capture.Event) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tl := &tapListener{Listener: l}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Protocols: protocols, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 16, MaxReceiveBufferPerConnection: 1 << 17},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			if r.URL.Path == "/hints" {
				w.WriteHeader(http.StatusEarlyHints)
			}
			w.Header().Set("Trailer", "X-Sum")
			size, _ := strconv.Atoi(r.URL.Query().Get("n"))
			w.Write(make([]byte, size))
			w.Header().Set("X-Sum", strconv.FormatInt(n, 10))
		})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.Serve(tl)
	}()
	var ct *tap
	tr := &http.Transport{Protocols: protocols,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, l.Addr().String())
			if err != nil || ct != nil {
				return c, err
			}
			ct = &tap{Conn: c}
			return ct, nil
		}}
	do := func(ctx context.Context, method, path string, body int, read bool) {
		r, err := http.NewRequestWithContext(ctx, method, "http://a"+path, io.LimitReader(bytes.NewReader(make([]byte, body)), int64(body)))
		if err != nil {
			t.Error(err)
			return
		}
		if body == 0 {
			r.Body = nil
		}
		resp, err := tr.RoundTrip(r)
		if err != nil {
			return // cancelled
		}
		if read {
			io.Copy(io.Discard, resp.Body)
		}
		resp.Body.Close()
	}
	do(context.Background(), "GET", "/", 0, true)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			switch i % 6 {
			case 0:
				do(ctx, "GET", "/?n=300000", 0, true)
			case 1:
				do(ctx, "POST", "/?n=10", 200000, true)
			case 2:
				do(ctx, "GET", "/?n=1000000", 0, false) // reset by its reader
			case 3:
				do(ctx, "GET", "/hints?n=5", 0, true)
			case 4:
				ctx, cancel := context.WithTimeout(ctx, time.Duration(i)*100*time.Microsecond)
				defer cancel()
				do(ctx, "POST", "/?n=100000", 300000, true)
			case 5:
				do(ctx, "HEAD", "/?n=1000", 0, true)
			}
		})
	}
	wg.Wait()
	tr.CloseIdleConnections()
	ct.Close()
	srv.Shutdown(context.Background())
	<-served
	return ct.all(), tl.first.all()
}

// tapListener taps the first connection.
type tapListener struct {
	net.Listener
	first *tap
}

func (l *tapListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || l.first != nil {
		return c, err
	}
	l.first = &tap{Conn: c}
	return l.first, nil
}

// diagnoseEvents gives what the events are diagnosed as.
func diagnoseEvents(events []capture.Event, info *capture.ConnInfo) (got []Diagnosis, frames int) {
	conn, track := decode.NewConn(1), New(1)
	seq := uint64(0)
	feed := func(ev *capture.Event) {
		conn.Feed(ev, func(r *decode.Row) {
			seq++
			if r.Kind == decode.RowFrame {
				frames++
			}
			track.Row(seq, r, func(d *Diagnosis) { got = append(got, *d) })
		})
	}
	feed(&capture.Event{Kind: capture.Open, Conn: 1, Time: events[0].Time, Info: info})
	for i := range events {
		feed(&events[i])
	}
	feed(&capture.Event{Kind: capture.Close, Conn: 1, Time: events[len(events)-1].Time})
	return got, frames
}

// TestRealTraffic: no error, and no warning but of waiting, for net/http talking
// to itself, seen from either end; nor when h2sniff comes late or loses
// something.
func TestRealTraffic(t *testing.T) {
	client, server := goTraffic(t)
	for name, events := range map[string][]capture.Event{"client": client, "server": server} {
		t.Run(name, func(t *testing.T) {
			got, frames := diagnoseEvents(events, &capture.ConnInfo{Fresh: true})
			for _, d := range got {
				if d.Severity == decode.Error || d.Severity == decode.Warning && d.Code != "stream-window-exhausted" && d.Code != "connection-window-exhausted" {
					t.Errorf("%+v", d)
				}
			}
			if frames < 500 {
				t.Errorf("only %d frames", frames)
			}
			step := max(1, len(events)/150)
			for i := 0; i < len(events); i += step {
				late := append([]capture.Event(nil), events[i:]...)
				base := [2]uint64{}
				for j := range late {
					ev := &late[j]
					if j == 0 || base[ev.Direction] == 0 && ev.Offset > 0 && !seen(late[:j], ev.Direction) {
						base[ev.Direction] = ev.Offset
					}
					ev.Offset -= base[ev.Direction]
				}
				noErrors(t, "attached before event", i, late, &capture.ConnInfo{})

				lossy := append([]capture.Event(nil), events...)
				lossy[i].Kind, lossy[i].Data = capture.Lost, nil
				noErrors(t, "lost event", i, lossy, &capture.ConnInfo{Fresh: true})

				// Nothing tells of it until the direction goes on.
				gone := slices.Delete(slices.Clone(events), i, i+1)
				noErrors(t, "without event", i, gone, &capture.ConnInfo{Fresh: true})

				short := append([]capture.Event(nil), events...)
				short[i].Data = short[i].Data[:len(short[i].Data)/2]
				noErrors(t, "half copied event", i, short, &capture.ConnInfo{Fresh: true})
			}
		})
	}
}

// TestEachFrameLost: no error, whichever frame is lost, untold.
func TestEachFrameLost(t *testing.T) {
	client, server := goTraffic(t)
	for name, events := range map[string][]capture.Event{"client": client, "server": server} {
		t.Run(name, func(t *testing.T) {
			frames := perFrame(events)
			if len(frames) < 500 {
				t.Fatalf("only %d pieces", len(frames))
			}
			step := max(1, len(frames)/300)
			for i := range frames {
				// Frames of DATA are most; of the others each is lost.
				if len(frames[i].Data) < 1000 || i%step == 0 {
					noErrors(t, "without frame", i, slices.Delete(slices.Clone(frames), i, i+1), &capture.ConnInfo{Fresh: true})
				}
			}
		})
	}
}

// TestHalfAPrefaceLost: no error where the end of the client's preface is lost, told or
// not, after the server has begun; one where what comes is none.
func TestHalfAPrefaceLost(t *testing.T) {
	half, settings := http2.ClientPreface[:14], "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	data := func(d capture.Direction, at int, s string) capture.Event {
		return capture.Event{Kind: capture.Data, Conn: 1, Direction: d, Offset: uint64(at), Length: uint64(len(s)), Data: []byte(s)}
	}
	lost := capture.Event{Kind: capture.Lost, Conn: 1, Direction: capture.Recv, Offset: 14, Length: 10}
	behind := data(capture.Recv, len(http2.ClientPreface), settings+settings[:8]+"\x00")
	for name, events := range map[string][]capture.Event{
		"told":     {data(capture.Recv, 0, half), data(capture.Send, 0, settings), lost, behind},
		"not told": {data(capture.Recv, 0, half), data(capture.Send, 0, settings), behind},
	} {
		got, frames := diagnoseEvents(events, &capture.ConnInfo{Fresh: true, Role: capture.Server})
		if frames < 3 {
			t.Errorf("%s: %d frames", name, frames)
		}
		for _, d := range got {
			if d.Severity == decode.Error {
				t.Errorf("%s: %+v", name, d)
			}
		}
	}
}

// perFrame splits events where frames begin.
func perFrame(events []capture.Event) (out []capture.Event) {
	var header [2][]byte
	left := [2]int{} // of the payload, or the client's preface
	for i := range events {
		ev := events[i]
		d := ev.Direction
		if ev.Offset == 0 && bytes.HasPrefix(ev.Data, []byte(http2.ClientPreface)) {
			left[d] = len(http2.ClientPreface)
		}
		from := 0
		cut := func(at int) {
			if at > from {
				piece := ev
				piece.Data = ev.Data[from:at]
				piece.Offset, piece.Length = ev.Offset+uint64(from), uint64(at-from)
				out = append(out, piece)
				from = at
			}
		}
		for at := 0; at < len(ev.Data); {
			if n := min(left[d], len(ev.Data)-at); n > 0 {
				left[d] -= n
				at += n
				continue
			}
			if len(header[d]) == 0 {
				cut(at)
			}
			header[d] = append(header[d], ev.Data[at])
			at++
			if h := header[d]; len(h) == 9 {
				left[d] = int(h[0])<<16 | int(h[1])<<8 | int(h[2])
				header[d] = nil
			}
		}
		cut(len(ev.Data))
	}
	return out
}

func seen(events []capture.Event, d capture.Direction) bool {
	for i := range events {
		if events[i].Direction == d {
			return true
		}
	}
	return false
}

func noErrors(t *testing.T, what string, i int, events []capture.Event, info *capture.ConnInfo) {
	t.Helper()
	got, _ := diagnoseEvents(events, info)
	for _, d := range got {
		if d.Severity == decode.Error {
			t.Errorf("%s %d: %+v", what, i, d)
		}
	}
}
