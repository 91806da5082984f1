# sss_nb with JupyterLab on Debian, with PETSc from its binary wheel; nothing is compiled.
#
#   docker build -t sss_nb .
#   docker run --rm -p 127.0.0.1:8888:8888 sss_nb                        JupyterLab, at the address it prints
#   docker run --rm -v "$PWD:/photos" --user "$(id -u):$(id -g)" sss_nb sss segment /photos/my.jpg --out /photos/layers
#
# In the container Lab listens on all interfaces, else no port could be published; -p 127.0.0.1:... keeps it on this
# machine, and the token in the address keeps others of this machine out.
FROM python:3.12-slim-bookworm

RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home reader
WORKDIR /home/reader/sss_nb
RUN chown reader:reader .
USER reader
ENV ENV_DIR=/home/reader/env PIP_NO_CACHE_DIR=1 HOME=/home/reader

# The environment first: it stays in the cache of layers while only notebooks change.
COPY --chown=reader:reader Makefile README.md LICENSE pyproject.toml constraints.txt constraints-wheel.txt environment.yml ./
COPY --chown=reader:reader tools/make_env.sh tools/
COPY --chown=reader:reader sss_nb sss_nb
COPY --chown=reader:reader data data
RUN PETSC=wheel TORCH=cpu make env
COPY --chown=reader:reader . .

ENV PATH=/home/reader/env/bin:$PATH
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser", "nbs/index.ipynb"]
