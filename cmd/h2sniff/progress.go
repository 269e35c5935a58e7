// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"sync/atomic"
)

// progress tells how much of a file has been read.
type progress struct {
	io.ReadCloser
	read atomic.Int64
	size int64 // 0: not known
}

func newProgress(file io.ReadCloser) *progress {
	p := &progress{ReadCloser: file}
	if f, ok := file.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
			p.size = st.Size()
		}
	}
	return p
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	p.read.Add(int64(n))
	return n, err
}
