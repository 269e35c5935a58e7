// SPDX-License-Identifier: Apache-2.0

package content

import (
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"
)

// need skips a test that lacks something, and fails it in CI.
func need(t testing.TB, what string, ok bool) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s", what)
	}
	t.Skipf("missing: %s", what)
}

// tap stands between a client and a server of cleartext HTTP/2 and hands what
// passes to decoders, as seen from the server.
type tap struct {
	net.Listener
	mu    sync.Mutex
	conns []*tapped
	wg    sync.WaitGroup
}

type tapped struct {
	id  capture.ConnID
	dec *decode.Conn
	pos [2]uint64
}

// startTap listens in front of the server at addr. Rows go to each.
func startTap(t testing.TB, addr string, each func(row *decode.Row)) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tp := &tap{Listener: l}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", addr)
			if err != nil {
				client.Close()
				continue
			}
			tp.mu.Lock()
			c := &tapped{id: capture.ConnID(len(tp.conns) + 1)}
			c.dec = decode.NewConn(c.id)
			tp.conns = append(tp.conns, c)
			feed := func(ev capture.Event) {
				ev.Conn, ev.Time = c.id, time.Now().UnixNano()
				c.dec.Feed(&ev, each)
			}
			feed(capture.Event{Kind: capture.Open, Info: &capture.ConnInfo{Comm: "server", Role: capture.Server, Fresh: true}})
			tp.mu.Unlock()
			pipe := func(from, to net.Conn, d capture.Direction) {
				defer tp.wg.Done()
				defer to.(*net.TCPConn).CloseWrite()
				buf := make([]byte, 16<<10)
				for {
					n, err := from.Read(buf)
					if n > 0 {
						tp.mu.Lock()
						feed(capture.Event{Kind: capture.Data, Direction: d, Offset: c.pos[d], Length: uint64(n), Data: buf[:n]})
						c.pos[d] += uint64(n)
						tp.mu.Unlock()
						if _, err := to.Write(buf[:n]); err != nil {
							return
						}
					}
					if err != nil {
						return
					}
				}
			}
			tp.wg.Add(2)
			go pipe(client, server, capture.Recv)
			go pipe(server, client, capture.Send)
		}
	}()
	t.Cleanup(func() { l.Close() })
	return tp
}

// collected gathers the exchanges of rows.
type collected struct {
	*Collector
	seq       uint64
	exchanges []*Exchange
}

func collect(l Limits) *collected {
	c := &collected{}
	c.Collector = NewCollector(l, nil, func(x *Exchange) { c.exchanges = append(c.exchanges, x) })
	return c
}

func (c *collected) row(row *decode.Row) {
	c.seq++
	c.Add(c.seq, row)
}

// find gives the first part of a kind in a tree, depth first.
func find(p *Part, kind Kind) *Part {
	if p.Kind == kind {
		return p
	}
	for _, c := range p.Children {
		if f := find(c, kind); f != nil {
			return f
		}
	}
	return nil
}
