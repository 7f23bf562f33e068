// Counts what a page asks of WebGPU, whichever library asks: dispatches, submits, and the most bytes
// of buffers that were created and not destroyed at one time. Runs before the page's own scripts, as
// a classic script; what a library leaves to the garbage collector is not seen to go.
(() => {
  if (typeof GPUDevice === "undefined") return;
  const counts = { dispatches: 0, submits: 0, liveBytes: 0, peakBytes: 0 };
  const sizes = new WeakMap();
  const wrap = (type, method, before) => {
    const original = type.prototype[method];
    type.prototype[method] = function (...given) {
      before(this, ...given);
      return original.apply(this, given);
    };
  };
  const dispatched = () => {
    counts.dispatches += 1;
  };
  wrap(GPUComputePassEncoder, "dispatchWorkgroups", dispatched);
  wrap(GPUComputePassEncoder, "dispatchWorkgroupsIndirect", dispatched);
  wrap(GPUQueue, "submit", () => {
    counts.submits += 1;
  });
  const createBuffer = GPUDevice.prototype.createBuffer;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    sizes.set(buffer, buffer.size);
    counts.liveBytes += buffer.size;
    counts.peakBytes = Math.max(counts.peakBytes, counts.liveBytes);
    return buffer;
  };
  wrap(GPUBuffer, "destroy", (buffer) => {
    counts.liveBytes -= sizes.get(buffer) ?? 0;
    sizes.delete(buffer);
  });
  globalThis.gpuCounts = { read: () => ({ ...counts }) };
})();
