// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"fmt"

	"h2sniff/bpf"
	"h2sniff/capture/target"

	"github.com/cilium/ebpf/link"
)

// attachGo attaches, with the first program that uses Go's crypto/tls, what
// serves all of them. The caller holds mu.
func (a *Attacher) attachGo() error {
	if a.goReceives {
		return nil
	}
	if err := a.objs.LoadGo(); err != nil {
		return err
	}
	receive, err := link.AttachTracing(link.TracingOptions{Program: a.objs.Go.GoReceive})
	if err != nil {
		return fmt.Errorf("attaching to tcp_rcv_space_adjust: %w", err)
	}
	a.base = append(a.base, receive)
	a.goReceives = true
	return nil
}

// planGo says what is placed on a Go program. None is a return probe of the
// kernel's: these exchange the return address on the stack, which Go's runtime
// reads when it moves the stack, and which it then takes for damage.
func (a *Attacher) planGo(lib *target.Library, number uint32) []placement {
	returns := placement{program: a.objs.Go.GoReturn}
	bodies := placement{program: a.objs.Go.GoEntry}
	for _, f := range lib.Functions {
		op, ok := opOf(lib.Family, f.Name)
		if !ok || f.Go == nil {
			continue
		}
		cookie := bpf.Cookie(op, number)
		bodies.add(f.Go.Body, cookie)
		if f.Go.Homes {
			cookie |= bpf.CookieHomes
		}
		if !op.HasReturn() {
			continue
		}
		for _, at := range f.Go.Returns {
			returns.add(at, cookie)
		}
		if d := f.Go.Deferred; d.Body != 0 {
			returns.add(d.Body, cookie|bpf.CookieDeferred(d.Result, d.Closure))
		}
	}
	return []placement{returns, bodies}
}
