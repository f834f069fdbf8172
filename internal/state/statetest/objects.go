package statetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/state"
)

// object is what is stored under a key of state.Objects.
type object struct {
	content []byte
	written time.Time
}

// Lag makes listings of objects lack the last writes, so many of them.
func (m *Memory) Lag(writes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lag = writes
}

// Put stores an object whatever is there, as somebody else might.
func (m *Memory) Put(key, content string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(key, []byte(content))
}

func (m *Memory) put(key string, content []byte) {
	m.objects[key] = object{bytes.Clone(content), m.Clock().UTC()}
	m.wrote = append(m.wrote, key)
}

// Delete deletes an object.
func (m *Memory) Delete(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
}

// Object returns what is stored under a key; "" if nothing is.
func (m *Memory) Object(key string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.objects[key].content)
}

// Keys are the keys of all objects, sorted.
func (m *Memory) Keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.objects))
}

// WriteOnce stores an object unless something is stored under its key.
func (m *Memory) WriteOnce(_ context.Context, key string, content []byte) (there []byte, err error) {
	err = m.do("write once", key, func() (err error) {
		if _, taken := m.objects[key]; !taken {
			m.put(key, content)
		}
		there, err = m.object(key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return there, nil
}

// ReadObject returns an object.
func (m *Memory) ReadObject(_ context.Context, key string) (content []byte, err error) {
	err = m.do("read object", key, func() (err error) { content, err = m.object(key); return err })
	if err != nil {
		return nil, err
	}
	return content, nil
}

func (m *Memory) object(key string) ([]byte, error) {
	o, ok := m.objects[key]
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: %w", key, state.ErrAbsent)
	case len(o.content) > state.MaxObject:
		return nil, fmt.Errorf("%s: %w", key, state.ErrDamaged)
	}
	return bytes.Clone(o.content), nil
}

// ListObjects lists the objects below a prefix, sorted, as they were some writes ago: see Lag.
func (m *Memory) ListObjects(_ context.Context, prefix string) (all []state.Stored, err error) {
	err = m.do("list objects", prefix, func() error {
		late := m.wrote[max(0, len(m.wrote)-m.lag):]
		for _, key := range slices.Sorted(maps.Keys(m.objects)) {
			if strings.HasPrefix(key, prefix) && !slices.Contains(late, key) {
				all = append(all, state.Stored{Name: key, Modified: m.objects[key].written})
			}
		}
		return nil
	})
	return all, err
}
