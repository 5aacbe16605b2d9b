# docker build -t genreg . && docker run --rm -v "$PWD/outputs:/runs/outputs" genreg train regularizer=vat
FROM python:3.12-slim
WORKDIR /opt/genreg
COPY . .
RUN pip install --no-cache-dir -e .
WORKDIR /runs
ENV OMP_NUM_THREADS=1
ENTRYPOINT ["genreg"]
CMD ["train", "--help"]
