// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"sync"
	"time"

	"h2sniff/capture/container"
)

// Containers tells which container a process runs in, also of one that ended
// before its first record was read. Methods may be called from any goroutine.
type Containers struct {
	mu    sync.Mutex
	of    map[uint32]string
	order []told // the oldest first
}

type told struct {
	pid uint32
	at  time.Time
}

// rememberFor is longer than a record waits in the ring buffer, and shorter than
// it takes until a pid is used again.
const rememberFor = 10 * time.Second

// Set tells the id of the container of a process that lives or has just lived.
func (c *Containers) Set(pid uint32, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.forget(now)
	if c.of == nil {
		c.of = make(map[uint32]string)
	}
	c.of[pid] = id
	c.order = append(c.order, told{pid, now})
}

// forget drops what was told long ago. The caller holds mu.
func (c *Containers) forget(now time.Time) {
	n := 0
	for n < len(c.order) && now.Sub(c.order[n].at) > rememberFor {
		delete(c.of, c.order[n].pid)
		n++
	}
	c.order = c.order[n:]
}

// Of gives the id of the container of a process, "" where it is in none or that
// is not known. As long as the process lives, /proc knows.
func (c *Containers) Of(pid uint32) string {
	if in, err := container.Of(int(pid)); err == nil {
		return in.ID
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(time.Now())
	return c.of[pid]
}
